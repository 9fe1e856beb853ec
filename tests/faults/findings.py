"""Collects what a drill saw, and its violations."""

from dataclasses import dataclass, field

from typing_extensions import override

from .checker import Violation


@dataclass(slots=True)
class Findings:
    drill: str
    facts: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def note(self, fact: str) -> None:
        self.facts.append(fact)

    def expect(self, holds: bool, check: str, fact: str) -> None:
        """Notes a fact, and a violation unless the promise `held`."""
        self.note(fact)
        if not holds:
            self.violations.append(Violation(check, fact))

    @override
    def __str__(self) -> str:
        return f"{self.drill}: {'; '.join(self.facts)}: {len(self.violations)} violations"
