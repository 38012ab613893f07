"""A simulated electric motor: temperatures that follow from random load cycles through a small thermal network.

NOT MEASURED DATA. It replaces the Paderborn measurements, which may not be redistributed: the same columns, in the
standardised units of their first release, at 2 samples per second, in independent sessions. The magnets' temperature
lags minutes behind the load, and some sessions start with a warm motor.

Thermal side: four nodes (yoke, tooth, winding, magnets) between coolant and ambient air,
C dT/dt = losses + sum of G (T_neighbour - T), as in Wallscheid and Boecker, "Global identification of a low-order
lumped-parameter thermal network for permanent magnet synchronous motors", IEEE Transactions on Energy Conversion 31
(2016); explicit Euler, half a second a step. Electrical side: the steady-state d-q equations of a synchronous motor,
with a resistance and a flux that depend on temperature. The constants are plausible for a 50 kW traction motor; they
are not fitted to data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # raise it whenever a session would come out differently
SEED = 2016
N_SESSIONS = 160
SAMPLES = (1200, 3600)  # the shortest and the longest session: 10 minutes to half an hour
STEP_S = 0.5
FIRST_ID = 1001  # far from the ids 2 to 81 of the measurements

# What turns physical units into those of a standardised file: a typical value and a typical deviation.
UNITS = {
    "ambient": (23.5, 2.0), "coolant": (37.0, 10.0), "u_d": (-34.0, 88.0), "u_q": (93.0, 32.0),
    "motor_speed": (2900.0, 1600.0), "torque": (17.0, 50.0), "i_d": (-49.0, 36.0), "i_q": (13.0, 44.0),
    "pm": (57.0, 16.0), "stator_yoke": (46.0, 10.0), "stator_tooth": (55.0, 13.0), "stator_winding": (66.0, 17.0),
}  # fmt: skip

YOKE, TOOTH, WINDING, MAGNETS = range(4)
CAPACITY_J_PER_K = np.array([7000.0, 5200.0, 3200.0, 5200.0])
G_COOLANT_YOKE, G_YOKE_TOOTH, G_TOOTH_WINDING = 55.0, 60.0, 38.0  # W/K
G_MAGNETS_AIR, G_GAP, G_GAP_PER_RPM = 1.6, 3.0, 1.1e-3  # W/K; the air gap conducts better the faster it is stirred

MAX_RPM, MAX_TORQUE_NM, POWER_LIMIT_W = 6000.0, 180.0, 42e3
FLUX_VS, FLUX_PER_K = 0.066, -1.1e-3  # at 20 degC, and its relative change (NdFeB)
RESISTANCE_OHM, RESISTANCE_PER_K = 0.045, 3.9e-3  # at 20 degC, and its relative change (copper)
L_D_H, L_Q_H, N_POLE_PAIRS = 0.37e-3, 1.2e-3, 8
WEAKENING_RPM = 2200.0  # above, a negative d current weakens the field


@dataclass(frozen=True)
class Simulation:
    """columns: the names of UNITS. values: standardised, float32 (n, 12). sessions: the session of each row (n,)."""

    columns: tuple[str, ...]
    values: NDArray[np.float32]
    sessions: NDArray[np.int64]


def simulate(n_sessions: int = N_SESSIONS, samples: tuple[int, int] = SAMPLES, seed: int = SEED) -> Simulation:
    """Return sessions of a motor under random load, one after another.

    samples: the shortest and the longest session. All randomness is numpy's frozen generator (NEP 19), so the same
    arguments give the same sessions on every numpy.
    """
    draw = np.random.RandomState(seed)
    lengths = draw.randint(samples[0], samples[1] + 1, n_sessions)
    n_steps = int(lengths.max())
    speed, torque = _load_cycles(draw, n_sessions, n_steps)
    coolant, ambient = _surroundings(draw, n_sessions, n_steps)
    i_d, i_q = _currents(speed, torque)
    temperatures = _temperatures(draw, speed, i_d, i_q, coolant, ambient)
    magnets, winding = temperatures[..., MAGNETS], temperatures[..., WINDING]

    flux = FLUX_VS * (1 + FLUX_PER_K * (magnets - 20))
    resistance = RESISTANCE_OHM * (1 + RESISTANCE_PER_K * (winding - 20))
    electrical = speed * (2 * np.pi / 60 * N_POLE_PAIRS)  # rad/s
    physical = {
        "ambient": ambient + _noise(draw, ambient, 0.2),
        "coolant": coolant + _noise(draw, coolant, 0.1),
        "u_d": resistance * i_d - electrical * L_Q_H * i_q + _noise(draw, speed, 1.5),
        "u_q": resistance * i_q + electrical * (L_D_H * i_d + flux) + _noise(draw, speed, 1.5),
        "motor_speed": speed + _noise(draw, speed, 2.0),
        "torque": torque + _noise(draw, speed, 2.0),
        "i_d": i_d + _noise(draw, speed, 1.0),
        "i_q": i_q + _noise(draw, speed, 1.0),
        "pm": magnets + _noise(draw, magnets, 0.5),
        "stator_yoke": temperatures[..., YOKE] + _noise(draw, magnets, 0.1),
        "stator_tooth": temperatures[..., TOOTH] + _noise(draw, magnets, 0.1),
        "stator_winding": winding + _noise(draw, magnets, 0.1),
    }
    recorded = np.arange(n_steps) < lengths[:, None]  # [session, step]
    table = [(physical[name].T[recorded] - middle) / deviation for name, (middle, deviation) in UNITS.items()]
    sessions = np.repeat(np.arange(FIRST_ID, FIRST_ID + n_sessions), lengths)
    return Simulation(tuple(UNITS), np.stack(table, axis=1).astype(np.float32), sessions)


def _load_cycles(draw: np.random.RandomState, n: int, n_steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed in rpm and torque in Nm, [step, session]: plateaus of 10 to 200 seconds, reached gradually."""
    speed, torque = np.empty((n_steps, n)), np.empty((n_steps, n))
    left = np.zeros(n)
    wanted_speed, wanted_torque, now_speed, now_torque = (np.zeros(n) for _ in range(4))
    calm = 0.25 + 0.75 * draw.random_sample(n)  # how hard a session drives its motor
    for step in range(n_steps):
        fresh = draw.random_sample((4, n))
        due = left <= 0
        left = np.where(due, 20 + 380 * fresh[0] ** 2, left - 1)
        wanted_speed = np.where(due, MAX_RPM * fresh[1], wanted_speed)
        at_this_speed = np.minimum(MAX_TORQUE_NM, POWER_LIMIT_W / (1 + 2 * np.pi / 60 * wanted_speed))
        wanted_torque = np.where(due, calm * at_this_speed * (2.4 * fresh[2] - 0.9).clip(-1, 1), wanted_torque)
        wanted_torque = np.where(due & (fresh[3] < 0.15), 0, wanted_torque)  # idling
        now_speed = now_speed + 0.05 * (wanted_speed - now_speed)
        now_torque = now_torque + 0.10 * (wanted_torque - now_torque)
        speed[step], torque[step] = now_speed, now_torque
    return speed, torque


def _surroundings(draw: np.random.RandomState, n: int, n_steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coolant and ambient temperature in degC, [step, session]: a level for each session, and a slow wave."""
    levels, waves = draw.random_sample((2, n)), draw.random_sample((4, n))
    seconds = np.arange(n_steps)[:, None] * STEP_S
    coolant = 18 + 36 * levels[0] + 4 * waves[0] * np.sin(2 * np.pi * (seconds / (600 + 1800 * waves[1]) + waves[2]))
    ambient = 21 + 5 * levels[1] + 1.5 * np.sin(2 * np.pi * (seconds / 3600 + waves[3]))
    return coolant, ambient


def _currents(speed: NDArray[np.float64], torque: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """d and q current in A that give this torque at this speed, the d current from field weakening and torque."""
    i_d = -160 * (1 - WEAKENING_RPM / np.maximum(speed, WEAKENING_RPM)) - 0.25 * np.abs(torque)
    i_q = torque / (1.5 * N_POLE_PAIRS * (FLUX_VS + (L_D_H - L_Q_H) * i_d))
    return i_d, i_q


def _temperatures(
    draw: np.random.RandomState,
    speed: NDArray[np.float64],
    i_d: NDArray[np.float64],
    i_q: NDArray[np.float64],
    coolant: NDArray[np.float64],
    ambient: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The nodes' temperatures in degC, [step, session, node]."""
    n_steps, n = speed.shape
    current = i_d**2 + i_q**2
    warmth = np.where(draw.random_sample(n) < 0.2, 25 * draw.random_sample(n), 0)  # after an earlier session
    now = coolant[0] + warmth * np.array([[0.25], [0.5], [0.6], [1.0]])  # [node, session]
    history = np.empty((n_steps, n, 4))
    for step in range(n_steps):
        history[step] = now.T
        rpm = speed[step] / 1000
        copper = 1.5 * RESISTANCE_OHM * (1 + RESISTANCE_PER_K * (now[WINDING] - 20)) * current[step]
        iron = 45 * rpm**1.4 * (1 + current[step] / 4e4)
        eddy = 14.0 * rpm**1.8 * (1 + current[step] / 1.5e4)
        to_yoke = G_COOLANT_YOKE * (coolant[step] - now[YOKE])
        yoke_tooth = G_YOKE_TOOTH * (now[TOOTH] - now[YOKE])
        tooth_winding = G_TOOTH_WINDING * (now[WINDING] - now[TOOTH])
        gap = (G_GAP + G_GAP_PER_RPM * speed[step]) * (now[TOOTH] - now[MAGNETS])
        flow = np.stack(
            [
                to_yoke + yoke_tooth + 0.35 * iron,
                tooth_winding - yoke_tooth - gap + 0.65 * iron,
                copper - tooth_winding,
                gap + G_MAGNETS_AIR * (ambient[step] - now[MAGNETS]) + eddy,
            ]
        )
        now = now + STEP_S * flow / CAPACITY_J_PER_K[:, None]
    return history


def _noise(draw: np.random.RandomState, like: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """What a sensor adds."""
    return deviation * draw.standard_normal(like.shape)
