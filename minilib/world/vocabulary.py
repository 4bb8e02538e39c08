"""The words of the small world. Everything a label or a caption can say is listed here, in order of its index."""

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "arrow")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "white")
TEXTURES = ("plain", "striped", "dotted", "halved")
GROUNDS = ("meadow", "sand", "water", "brick")
SIZES = ("small", "large")
PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")

# Neighbours 2i and 2i + 1 are mirror images in time: each is the other one played backwards.
MOTIONS = (
    "moving right", "moving left",
    "moving down", "moving up",
    "growing", "shrinking",
    "spinning clockwise", "spinning anticlockwise",
    "appearing", "disappearing",
    "coming together", "moving apart",
)  # fmt: skip

# The same, of the timing task: half of them steady, half short or uneven.
TIMINGS = (
    *MOTIONS[:8],
    "darting right", "darting left",
    "pausing on the way right", "pausing on the way left",
    "bobbing up and down", "bobbing down and up",
    "sinking fast and rising slowly", "sinking slowly and rising fast",
)  # fmt: skip

# A spin is seen only on a shape that looks different after a twelfth of a turn and after a fifth.
SPINNABLE = tuple(SHAPES.index(name) for name in ("square", "triangle", "cross", "heart", "arrow"))


def mirror(motion: int) -> int:
    """The index in MOTIONS or TIMINGS of what `motion` becomes when time runs backwards."""
    return motion ^ 1


def held_out_colour(shape: int) -> int:
    """The one colour that each shape never has in training, so that eight of the 64 pairs stay unseen."""
    return -shape % len(COLOURS)


def caption(parts: list[tuple[int, int, int, int]], ground: int) -> str:
    """A sentence for objects given as (size, colour, shape, place) indices, in reading order of the list."""
    objects = [f"a {SIZES[size]} {COLOURS[c]} {SHAPES[s]} {PLACES[p]}" for size, c, s, p in parts]
    return f"{' and '.join(objects)} on {GROUNDS[ground]}"


def textured_caption(parts: list[tuple[int, int, int, int, int]], ground: int) -> str:
    """As `caption`, for (size, colour, texture, shape, place): the texture is said between colour and shape."""
    objects = [f"a {SIZES[z]} {COLOURS[c]} {TEXTURES[t]} {SHAPES[s]} {PLACES[p]}" for z, c, t, s, p in parts]
    return f"{' and '.join(objects)} on {GROUNDS[ground]}"
