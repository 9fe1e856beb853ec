"""What a drill saw, in one line, and what of it must not be."""

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

    def expect(self, held: bool, check: str, fact: str) -> None:
        """Notes what was seen, and that it breaks a promise unless it `held`."""
        self.note(fact)
        if not held:
            self.violations.append(Violation(check, fact))

    @override
    def __str__(self) -> str:
        return f"{self.drill}: {'; '.join(self.facts)}: {len(self.violations)} violations"
