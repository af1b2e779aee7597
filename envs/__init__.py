"""The environments; importing this registers their ids with Gymnasium.

``gymnasium.make("driftrec.envs:driftrec/Video-v0")`` needs no import of its own.
"""

from gymnasium.envs.registration import register

from .env import DriftEnv
from .session import Observation
from .vector_env import DriftVectorEnv

ENV_IDS: dict[str, str] = {
    "driftrec/DriftingInterest-v0": "plain",
    "driftrec/Ecommerce-v0": "ecommerce",
    "driftrec/News-v0": "news",
    "driftrec/Video-v0": "video",
    "driftrec/Music-v0": "music",
    "driftrec/CustomerService-v0": "support",
    "driftrec/SocialFeed-v0": "social",
    "driftrec/SmartHome-v0": "home",
}

for _id, _domain in ENV_IDS.items():
    register(
        _id,
        entry_point="driftrec.envs.env:DriftEnv",
        vector_entry_point="driftrec.envs.vector_env:DriftVectorEnv",
        kwargs={"domain": _domain},
    )

__all__ = ["ENV_IDS", "DriftEnv", "DriftVectorEnv", "Observation"]
