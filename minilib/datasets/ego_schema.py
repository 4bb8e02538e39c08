"""EgoSchema: one question about each three-minute video of what somebody wearing a camera does, with five answers.

root/questions.json                      [{"q_uid": ..., "question": ..., "option 0": ..., ..., "option 4": ...}, ...]
root/subset_answers.json                 {"0074f737-...": 3, ...}; the other answers are not public
root/videos/<q_uid>.mp4
"""

from __future__ import annotations

from pathlib import Path

from minilib.datasets.annotations import inside, read_json
from minilib.datasets.next_qa import VideoQuestion
from minilib.errors import BadInput

OPTIONS = tuple(f"option {i}" for i in range(5))


def ego_schema(root: Path | str, split: str) -> list[VideoQuestion]:
    """`split` of a folder in EgoSchema's layout: "subset", whose answers are public, or "full", all questions, of which
    the others' `right` is None: only the challenge's server can judge those."""
    if split not in ("subset", "full"):
        raise BadInput(f"split {split!r} is none of subset, full")
    path, answers_path = Path(root) / "questions.json", Path(root) / "subset_answers.json"
    known = read_json(answers_path, dict[str, int])
    questions = []
    for at, record in enumerate(read_json(path, list[dict[str, object]])):
        where = f"annotations {path}, record {at}"
        texts = {key: record.get(key) for key in ("q_uid", "question", *OPTIONS)}
        for key, text in texts.items():
            if not isinstance(text, str) or not text.strip():
                raise BadInput(f"{where}: no {key!r}; an old version of the file lacks the questions, get the present")
        name, text, *answers = texts.values()
        right = known.pop(name, None)
        if right is not None and not 0 <= right < len(answers):
            raise BadInput(f"annotations {answers_path}: the right answer of {name} is {right}, there are 0 to 4")
        video = inside(Path(root) / "videos", f"{name}.mp4", where)
        questions.append(VideoQuestion(video, text, tuple(answers), right, "", name))
    if known:
        raise BadInput(f"annotations {answers_path}: {next(iter(known))} is no question of {path.name}, or asked twice")
    return [question for question in questions if split == "full" or question.right is not None]
