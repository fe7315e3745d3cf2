"""Whose changes are being followed."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from footnote.models.base import Base, ref


class FollowedTenant(Base):
    """Until then a process follows the tenant's documents: only so long do triggers notify of each change.

    A notification holds up the commits of all others for a moment, so there is none that is not listened to.
    """

    __tablename__ = "followed_tenant"

    tenant_id: Mapped[str] = ref("tenant", key=True)
    until: Mapped[datetime] = mapped_column()
