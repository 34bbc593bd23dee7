"""Every number that shapes the simulated operator, in one place, each with what it stands for.

Published figures set the first half (an operator loses about 2 % of its base a month; voice drop rates lie under the
2 % that regulators allow; complaints come by hotline and app first).  The second half is difficulty: it is calibrated
by `benchmarks/ceiling.py`, which keeps what a batch learner and the recency rule reach.
"""

from typing import Final

# The base.
AREAS: Final = 24
CELLS_PER_AREA: Final = 8
JOIN_A_MONTH: Final = 0.018  # Share of the base that joins in 30 days: about as many as leave.
CALLS_A_DAY: Final = 3.4  # Median call attempts on an active day; log-normal, so that the mean is far above.
CALLS_SPREAD: Final = 0.85
ANSWERED: Final = 0.72
CALL_S: Final = 95.0

# The network.
DROP_SHARE: Final = 0.006  # Answered calls dropped in the median cell.
SETUP_SHARE: Final = 0.007  # Attempts that the network fails to set up, or blocks.
CELL_SPREAD: Final = 0.75
HANDSET_SPREAD: Final = 0.45

# Top-ups.
TOP_UP_GAP_DAYS: Final = 12.0  # Median of subscribers' own rhythms.
TOP_UP_GAP_SPREAD: Final = 0.5
TOP_UP_FAILS: Final = 0.035

# Complaints, chance a day.
COMPLAINT_BASE: Final = 0.00035
COMPLAINT_PER_DROP: Final = 0.012
COMPLAINT_PER_SETUP: Final = 0.004
COMPLAINT_PER_FAILED_TOP_UP: Final = 0.02
COMPLAINT_WAVERING: Final = 0.0022
RESOLVED_DAYS: Final = 3.0  # Median.
RESOLVED_SPREAD: Final = 0.8
FORGOTTEN: Final = 0.2  # Share of tickets that nobody works on for weeks.
REOPENED: Final = 0.07

# Drift: when (share of the span), how long, how much of the network.
OUTAGE_AT: Final = 0.45
OUTAGE_DAYS: Final = 5
OUTAGE_FACTOR: Final = 9.0
OUTAGE_AREAS: Final = 0.25
PROMOTION_AT: Final = 0.6
PROMOTION_SPAN: Final = 0.25
PROMOTION_AREAS: Final = 0.5
BREAK_USE: Final = 0.4  # Of a student's usual use, during a school break.
EXAM_USE: Final = 0.7

# Noise in behaviour that has nothing to do with leaving.
MOOD_MEMORY: Final = 0.96  # Of yesterday's level of use kept today (first-order autoregression).
MOOD_SPREAD: Final = 0.17  # Of the stationary level, as a logarithm.
AWAY_A_DAY: Final = 0.002  # Chance of starting to be away: travel, illness, a second SIM.
AWAY_DAYS: Final = 9.0
VALUE_LOSS_A_DAY: Final = 0.0009  # Chance that a high-value subscriber starts to spend far less, and stays.
VALUE_LOSS_USE: Final = 0.42

# Leaving: daily chances as logarithms, before causes are added.
TO_WAVERING: Final = -6.93
ABRUPT: Final = -9.8
TO_LEFT: Final = -3.55
TO_CONTENT: Final = -4.3
RIPENING_DAYS: Final = 12.0  # Of wavering, before leaving is as likely as it gets.
FRAILTY: Final = 0.42  # What nobody observes, as the spread of a log hazard.

# What each cause adds to the log chance of starting to waver.
SERVICE: Final = 0.7
OPEN: Final = 0.5
OVERDUE: Final = 1.1
GRIEF: Final = 0.5
COMPLAINT_AFTER_DROPS: Final = 0.8
PROMOTION: Final = 0.25
PROMOTION_NEAR_END: Final = 1.5
PROMOTION_PRICE: Final = 0.35
IN_CONTRACT: Final = -1.0
NEAR_END: Final = 0.7
PAYMENT: Final = 0.55
NEIGHBOURS: Final = 0.9
SPENDING_LESS: Final = 0.35
TENURE: Final = -0.5
LOAD: Final = -0.4

# How leaving shows.
FADING_SHARE: Final = 0.92  # Of those who waver: the rest leave, if they do, without using less.
FADE_FLOOR: Final = (0.03, 0.5)  # What is left of the usual use in the end, from and to.
FADE_DAYS: Final = 6.0  # Time constant of the fall.
RETURN_DAYS: Final = 4.0  # Time constant of the way back.
SILENT: Final = (0.5, 0.0, 0.25)  # Leavers who just stop, by payment type (prepaid, postpaid, hybrid).
PORT_OUT: Final = (0.98, 0.68, 0.85)  # Of the others, those who take their number along.
PORT_OUT_DAYS: Final = (0, 2)  # From the order to the end, as [from, below): number portability is a matter of hours.
TERMINATION_DAYS: Final = (0, 4)
FALSE_PORT_OUT_A_DAY: Final = (0.00002, 0.0035)  # Requests that come to nothing: content, wavering.

# Involuntary leaving.
SUSPENDED_A_DAY: Final = 0.0006  # Of postpaid and hybrid, for a bill not paid.
SUSPENDED_DAYS: Final = (8, 21)
PAID_IN_THE_END: Final = 0.65
SUDDEN_A_DAY: Final = 0.00001  # Fraud, death, a business closed.
