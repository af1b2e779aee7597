"""How figures that are measured with noise answer to knobs: a response surface, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_STEPS = 30
_FIRM = 0.3, 1.0  # simulations that the guess of a slope, and of a bend, counts for


@dataclass(frozen=True)
class Surface:
    """F figures as a polynomial of K knobs. Source: Box & Wilson (1951).

    Attributes:
        middle: [K] knobs around which it is drawn.
        unit: [K] of the knobs; curved within twice as far, straight on beyond.
        least: [K] of the knobs that can be simulated; straight on below.
        bends: pairs of knobs whose products are terms.
        guess: [P, F] what the weights are taken for before anything was simulated.
        weight: [P, F] of the terms in each figure.
        noise: [F, F] covariance of the figures of one simulation around the surface.
        spread: [P, P] times ``noise``: covariance of the weights.
    """

    middle: Floats
    unit: Floats
    least: Floats
    bends: tuple[tuple[int, int], ...]
    guess: Floats
    weight: Floats
    noise: Floats
    spread: Floats

    @classmethod
    def guessed(
        cls,
        middle: Floats,
        unit: Floats,
        least: Floats,
        answers: Floats,
        bends: tuple[tuple[int, int], ...] = (),
    ) -> Surface:
        """A plane whose slopes are ``answers`` [F, K]."""
        size, count = len(middle), len(answers)
        guess = np.zeros((1 + size + len(bends), count))
        guess[1 : 1 + size] = answers.T * unit[:, None]
        noise, spread = np.zeros((count, count)), np.zeros((len(guess), len(guess)))
        return cls(middle, unit, least, bends, guess, guess, noise, spread)

    def fitted(self, place: Floats, figures: Floats) -> Surface:
        """Ridge regression of the figures [S, F] of simulations with knobs [S, K] on the terms.

        Shrunk towards the guess, which counts as much as a simulation or less a unit away: it keeps
        the slopes of a few noisy simulations from running wild. Source: Hoerl & Kennard (1970).
        """
        terms = self.terms(place)
        firm = np.full(terms.shape[1], _FIRM[1])
        firm[: 1 + len(self.middle)] = _FIRM[0]
        firm[0] = 0.0
        inverse = np.asarray(np.linalg.inv(terms.T @ terms + np.diag(firm)), np.float64)
        weight = self.guess + inverse @ terms.T @ (figures - terms @ self.guess)
        rest = figures - terms @ weight
        free = len(terms) - np.trace(terms @ inverse @ terms.T)
        noise = rest.T @ rest / max(float(free), 1.0)
        return replace(self, weight=weight, noise=noise, spread=inverse)

    def __call__(self, place: Floats) -> Floats:
        """[R, K] knobs -> [R, F] figures."""
        return self.terms(place) @ self.weight

    def terms(self, place: Floats) -> Floats:
        """[R, K] knobs -> [R, P] terms: 1, the knobs, and products."""
        knobs = (place - self.middle) / self.unit
        inside = np.clip(knobs, np.maximum((self.least - self.middle) / self.unit, -2), 2)
        out = knobs - inside
        products = [
            (inside + out)[:, i] * inside[:, j] + inside[:, i] * out[:, j] for i, j in self.bends
        ]
        return np.column_stack([np.ones(len(place)), knobs, *products])

    def slope(self, place: Floats) -> Floats:
        """[R, K] knobs -> [R, F, K] how the figures answer to units of the knobs."""
        sides = []
        for aside in np.diag(0.05 * self.unit):
            sides.append((self(place + aside) - self(place - aside)) / 0.1)
        return np.stack(sides, axis=2)

    def nearest(
        self, figures: Floats, cov: Floats, place: Floats, held: int, least: Floats, most: Floats
    ) -> Floats:
        """[R, K] knobs whose figures come nearest to ``figures`` [F], the knob ``held`` as given.

        Gauss-Newton by strides of at most one unit from ``place`` [R, K], between ``least`` and
        ``most`` [K]; near by the covariance ``cov`` [F, F] of the figures.
        """
        place, white = place.copy(), np.linalg.inv(np.linalg.cholesky(cov))
        free = np.arange(place.shape[1]) != held
        for _ in range(_STEPS):
            slope = white @ self.slope(place)[:, :, free]
            rest = (figures - self(place)) @ white.T
            step = np.einsum("rkf,rf->rk", np.linalg.pinv(slope, 1e-3), rest)
            step /= np.maximum(1.0, np.abs(step).max(1, keepdims=True))
            place[:, free] += step * self.unit[free]
            place[:, free] = np.clip(place, least, most)[:, free]
        return place

    def doubt(self, place: Floats) -> Floats:
        """[F, F] covariance of the surface at ``place`` [K], from the noise of the simulations."""
        terms = self.terms(place[None])[0]
        return self.noise * float(terms @ self.spread @ terms)
