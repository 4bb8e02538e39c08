"""What an ordering is measured on: tasks with their two ends and controls, and the pairs that are compared."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

ENDS = ("chance", "oracle")  # words that stand for a task's two ends where a metric may stand
Name = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Test = Literal["greater", "not_worse", "equal"]
Replicates = Literal["seeds", "clips", "sets", "groups"]


class Strict(BaseModel):
    """Unknown keys and changes are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Control(Strict):
    """Two metrics compared replicate by replicate. `chance` and `oracle` stand for the ends of the task.

    As a control its outcome is known beforehand, and its place says which test it takes.
    """

    better: Name
    worse: Name

    @model_validator(mode="after")
    def _two(self) -> Control:
        if self.better == self.worse:
            raise ValueError(f"{self.better} is compared with itself")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The measured ones of the two."""
        return tuple(name for name in (self.better, self.worse) if name not in ENDS)


class Pair(Control):
    """Two metrics of an ordering and the test that they take."""

    test: Test = "greater"


class Task(Strict):
    """What an ordering is measured on. An end is a number, or the metric whose rows give it. moved: on which task its
    claims were first, and why that one could not show them. replicates: those of its ends and controls, where a claim
    on it has others."""

    moved: Text | None = None
    replicates: Replicates | None = None
    chance: FiniteFloat | Name
    oracle: FiniteFloat | Name
    positive: Control | None = None  # an effect that is true by construction and must show
    negative: Control | None = None  # must lie within three points of nothing

    @model_validator(mode="after")
    def _ends_differ(self) -> Task:
        if self.chance == self.oracle:
            raise ValueError(f"chance and oracle are both {self.chance}")
        numbers = not any(isinstance(end, str) for end in (self.chance, self.oracle))
        if numbers and any(control and not control.metrics for control in (self.positive, self.negative)):
            raise ValueError("a control between chance and oracle measures nothing where both are numbers")
        return self
