"""The codes of an alert, each with its sentence in English: why it changed, and what the default policy asks for.

Programs decide by the code and people read the sentence.  `wording` has the sentences in every language; the English
ones stand here as well because a published alert carries them beside the codes.  What was published before there were
codes has the sentence alone, and so has a policy: `why_code` and `action_code` find its code.
"""

from typing import Final

from streams.core.contracts.effects import ActionCode, WhyCode

WHYS: Final[dict[WhyCode, str]] = {
    "threshold_reached": "the risk reached the opening threshold",
    "threshold_reached_again": "the risk reached the opening threshold again",
    "hold_time_elapsed": "the risk stayed above the opening threshold for the hold time",
    "fell_below_opening": "the risk fell under the opening threshold too soon",
    "fell_below_closing": "the risk fell under the closing threshold too soon",
    "left_before_hold_time": "the subscriber left before the hold time",
    "consent_withdrawn": "profiling consent was withdrawn",
    "band_rose": "the risk rose to a higher band",
    "band_fell": "the risk stayed in a lower band for the clear time",
    "clear_time_elapsed": "the risk stayed below the closing threshold for the clear time",
    "subscriber_left": "the subscriber left",
    "leave_requested": "the subscriber asked to leave",
    "request_ended": "the request to leave no longer stands",
    "silent_beyond_habit": "the line has been silent beyond the subscriber's own habit",
    "used_again": "the line is used again",
}
ACTIONS: Final[dict[ActionCode, str]] = {
    "offer_fitting_plan": "Call, ask what changed, offer a plan that fits the present use",
    "offer_payment_help": "Offer another way to pay or an emergency top-up before service stops",
    "offer_renewal": "Offer a renewal before the contract ends; match the rival's price where value allows",
    "report_repair": "Call with the state of the complaint or the network fault, and a date for its repair",
    "review_plan": "Review the plan together; offer a bundle that keeps the spend",
    "offer_to_stay": "Call from the save desk: ask for the reason, make the best offer that the value allows",
    "offer_win_back": "Send one win-back offer by message or letter; a silent line may not answer a call",
}

_WHY_CODES: Final = {text: code for code, text in WHYS.items()}
_ACTION_CODES: Final = {text: code for code, text in ACTIONS.items()}


def why_code(text: str) -> WhyCode | None:
    """Return the code of a sentence on why an alert changed, None for any other sentence.

    >>> why_code("the subscriber left"), why_code("the moon is full")
    ('subscriber_left', None)
    """
    return _WHY_CODES.get(text)


def action_code(text: str) -> ActionCode | None:
    """Return the code of an action of the default policy, None for an operator's own.

    >>> action_code("Review the plan together; offer a bundle that keeps the spend"), action_code("Send flowers")
    ('review_plan', None)
    """
    return _ACTION_CODES.get(text)
