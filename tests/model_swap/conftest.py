"""A tenant whose collections may get a second model."""

import pytest

from footnote.runtime import Runtime
from tests import driving
from tests.model_swap.swapping import OtherModel, registered


@pytest.fixture
def other(rt: Runtime) -> OtherModel:
    return registered(rt)


@pytest.fixture
async def tenant(rt: Runtime) -> str:
    return await driving.new_tenant(rt)


@pytest.fixture
def acting(rt: Runtime, tenant: str, other: OtherModel) -> Runtime:
    return rt.for_tenant(tenant)
