"""Language Repository: a long video as text that is written chunk by chunk and read for a question."""

from minilib.papers.language_repository.answers import generate, likeliest, share_parsed
from minilib.papers.language_repository.method import Entry, Reading, Repository, Writing, read, write
from minilib.papers.language_repository.models import LanguageModel, LocalModel
from minilib.papers.language_repository.prompts import SMALL, Prompts
from minilib.papers.language_repository.server import Patience, ServedModel

__all__ = [
    "SMALL",
    "Entry",
    "LanguageModel",
    "LocalModel",
    "Patience",
    "Prompts",
    "Reading",
    "Repository",
    "ServedModel",
    "Writing",
    "generate",
    "likeliest",
    "read",
    "share_parsed",
    "write",
]
