"""The name of a repository in the snippets of its card."""

from __future__ import annotations

REPOSITORY = "ORG/NAME"  # in a card that does not know its repository yet


def name_repository(card: str, repository: str) -> str:
    """Put a repository's id where the snippets of a card say "ORG/NAME".

    Args:
        card: A card's text.
        repository: Id on the Hub.

    Returns:
        The text; outside of the snippets it is as it was.
    """
    return card.replace(f'"{REPOSITORY}"', f'"{repository}"')
