"""The contract of uploads, in random order, against a model: a plain bytearray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage_drivers import Interrupted, StorageDriver
from tests.contract.sources import (
    DIGEST,
    SourceError,
    breaking_after,
    content_of,
    get,
    runs_of,
    through_json,
)


@dataclass(frozen=True)
class Step:
    """One append of `size` bytes: acknowledged, broken off after them, or done and never heard of."""

    size: int
    fate: str
    other_instance: bool


SIZES = st.one_of(st.integers(0, 300), st.integers(0, 1_500_000))
STEPS = st.lists(
    st.builds(Step, SIZES, st.sampled_from(["told", "broken", "lost"]), st.booleans()), max_size=8
)


class ModelContract:
    driver_class: ClassVar[type[StorageDriver]]

    @pytest.mark.timeout(60)
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(steps=STEPS)
    async def test_any_sequence_of_appends(
        self, driver: StorageDriver, settings: Mapping[str, object], steps: list[Step]
    ) -> None:
        second = self.driver_class.from_settings(settings) if driver.shared else driver
        model, upload = bytearray(), await driver.begin()
        for number, step in enumerate(steps):
            content = content_of(step.size, number)
            acting = second if step.other_instance else driver
            if step.fate == "broken":
                with pytest.raises(Interrupted) as caught:
                    await acting.append(upload, breaking_after(content, SourceError()))
                after = caught.value.upload
            else:
                after = await acting.append(upload, runs_of(content))
            assert after.offset == len(model) + step.size
            if step.fate != "lost":
                model += content
                upload = through_json(after)
        location = await second.commit(upload, DIGEST)
        assert await driver.commit(upload, DIGEST) == location
        assert await get(driver, location) == model
        await driver.delete(location)
        if second is not driver:
            await second.aclose()
