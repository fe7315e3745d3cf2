import pytest

from footnote.runtime import Runtime
from tests import driving


@pytest.fixture
async def tenant(committing_rt: Runtime) -> str:
    return await driving.new_tenant(committing_rt)
