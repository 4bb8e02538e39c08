"""Real datasets: one reader for each annotation format, and one torch dataset for all of them."""

from minilib.datasets.annotations import UNLABELLED, Annotated, Clip, present
from minilib.datasets.captions import captioned, read_captions
from minilib.datasets.charades import ActionVideo, ActionVideos, charades
from minilib.datasets.davis import MaskedVideo, davis
from minilib.datasets.diving48 import diving48
from minilib.datasets.ego_schema import ego_schema
from minilib.datasets.epic_kitchens import Kitchens, Segment, epic_kitchens
from minilib.datasets.few_shot import few_shot
from minilib.datasets.folder import EpochBatches, VideoDataset, ViewDataset, read_views
from minilib.datasets.hmdb51 import hmdb51
from minilib.datasets.imagenet_vid import Snippet, imagenet_vid
from minilib.datasets.intent_qa import intent_qa
from minilib.datasets.kinetics import kinetics, kinetics_folder
from minilib.datasets.multithumos import Action, AnnotatedActions, Untrimmed, multithumos
from minilib.datasets.next_gqa import next_gqa
from minilib.datasets.next_qa import VideoQuestion, next_qa
from minilib.datasets.something import something
from minilib.datasets.tracks import Tracks
from minilib.datasets.ucf101 import ucf101
from minilib.datasets.youtube_vis import SegmentedVideo, youtube_vis

__all__ = [
    "UNLABELLED",
    "Action",
    "ActionVideo",
    "ActionVideos",
    "Annotated",
    "AnnotatedActions",
    "Clip",
    "EpochBatches",
    "Kitchens",
    "MaskedVideo",
    "Segment",
    "SegmentedVideo",
    "Snippet",
    "Tracks",
    "Untrimmed",
    "VideoDataset",
    "VideoQuestion",
    "ViewDataset",
    "captioned",
    "charades",
    "davis",
    "diving48",
    "ego_schema",
    "epic_kitchens",
    "few_shot",
    "hmdb51",
    "imagenet_vid",
    "intent_qa",
    "kinetics",
    "kinetics_folder",
    "multithumos",
    "next_gqa",
    "next_qa",
    "present",
    "read_captions",
    "read_views",
    "something",
    "ucf101",
    "youtube_vis",
]
