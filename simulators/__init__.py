"""The world: catalogues, users, drift, choice and response. NumPy and SciPy only."""

from .catalog import Affinity, Catalog
from .choice import CHOICES, CascadeChoice, Choice, LogitChoice
from .domain import Domain, Patience, domain_names, load_domain
from .drift import DRIFTS, Drift
from .response import RESPONSES, Outcome, Response
from .simulator import Simulator
from .slates import best_slates, top_items
from .users import Users, unit
from .world import Population, World, build_world

__all__ = [
    "CHOICES",
    "DRIFTS",
    "RESPONSES",
    "Affinity",
    "CascadeChoice",
    "Catalog",
    "Choice",
    "Domain",
    "Drift",
    "LogitChoice",
    "Outcome",
    "Patience",
    "Population",
    "Response",
    "Simulator",
    "Users",
    "World",
    "best_slates",
    "build_world",
    "domain_names",
    "load_domain",
    "top_items",
    "unit",
]
