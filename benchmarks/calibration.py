"""Does the interest of simulated users last as long as that of real ones? Prints a table.

    python benchmarks/calibration.py                # every domain, half a minute
    python benchmarks/calibration.py music news     # some

Columns are S(lag) / S(0), the autocorrelation of a user's interest at lags of 1 to 8 windows of 20
items taken, then the fit A + B exp(-lag / tau): A is the share of the preference that stays, the
half-life (in items taken) that of the rest. The first rows are real logs, measured in the same way:
Online Retail (Chen, 2015, UCI Machine Learning Repository; 1,091 customers with 100 order lines or
more) and Last.fm (HetRec 2011, Cantador, Brusilovsky & Kuflik; 201 users, artists described by
tags). The order within a basket, and within a month of Last.fm, is not recorded, so their
half-lives are upper bounds. Real logs with timestamps also lose 9 to 22 % of the similarity beyond
a quarter of a year, which is longer than an episode.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from driftrec.envs.config import make_simulator  # noqa: E402
from driftrec.simulators import domain_names  # noqa: E402
from driftrec.simulators.calibration import LAGS, REAL, InterestCurve, interest_curve  # noqa: E402


def row(name: str, curve: InterestCurve) -> str:
    """One line of the table."""
    values = " ".join(f"{value:6.2f}" for value in curve.autocorrelation)
    return f"{name:<14} {values} {curve.stable:7.2f} {curve.half_life:10.0f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domains", nargs="*", default=domain_names(), help="names of domains")
    parser.add_argument("--users", type=int, default=400, help="users who are simulated")
    args = parser.parse_args()
    lags = " ".join(f"{lag:6d}" for lag in range(1, LAGS + 1))
    print(f"{'lag':<14} {lags} {'stable':>7} {'half-life':>10}")
    for name, curve in REAL.items():
        print(row(name, InterestCurve.fit(curve)))
    for name in args.domains:
        print(row(name, interest_curve(make_simulator(name), args.users)), flush=True)


if __name__ == "__main__":
    main()
