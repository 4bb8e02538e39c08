"""Real datasets: one reader for each annotation format, and one torch dataset for all of them."""

from minilib.datasets.annotations import UNLABELLED, Annotated, Clip, present
from minilib.datasets.diving48 import diving48
from minilib.datasets.folder import GoodBatches, VideoDataset, read_views, video_loader
from minilib.datasets.hmdb51 import hmdb51
from minilib.datasets.kinetics import kinetics, kinetics_folder
from minilib.datasets.something import something
from minilib.datasets.ucf101 import ucf101

__all__ = [
    "UNLABELLED",
    "Annotated",
    "Clip",
    "GoodBatches",
    "VideoDataset",
    "diving48",
    "hmdb51",
    "kinetics",
    "kinetics_folder",
    "present",
    "read_views",
    "something",
    "ucf101",
    "video_loader",
]
