"""How much one endpoint takes at once: keys in a read proof, requests in a message, heights in a request.

Nobody tells these limits. What is refused or lost is asked for in smaller portions, which is remembered, and after
a while or many answers a larger one is tried again. Knows nothing of connections; ``endpoints`` and ``node`` ask.
"""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger()

KEYS_MAX = 1000
"""Keys per read proof at most; about 1 MB of proof, far below a node's 15 MiB."""
KEYS_GROW_AFTER = 64
"""Full proofs in a row after which the endpoint is asked for a few more keys."""
KEYS_FEW = 8
"""Hardly too many: no fewer are asked for because an answer took too long, or the connection was lost once."""
CUTS_APART_S = 5.0
"""Seconds between two losses of the connection that have no common cause: a request is tried again sooner."""
BATCH_MAX = 64
"""Requests in one message at most; a node's default is no limit, of gateways often 100 or less."""
BATCHES_AGAIN_S = 600.0
"""How long an endpoint that takes no batches, or no lists, is asked one by one."""
LOSSES_MAX = 2
"""Batches in a row that were lost or not answered in full, after which it is the batches. Before the first: one."""


class Portions:
    """What one endpoint takes, as far as we know."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.keys_max = KEYS_MAX
        self._full = 0
        self._fitted = self._fitted_since_cut = 0
        self._cut_s = self._late_s = float("-inf")
        self._late = 0
        self._batch_max = self._busy_max = BATCH_MAX
        self._busy_until_s = 0.0
        self._losses = LOSSES_MAX - 1
        self._batches_from_s = self._lists_from_s = 0.0

    # -- keys in a proof

    def fewer_keys(self, asked: int) -> None:
        """A proof of ``asked`` keys was too large for it."""
        smaller = max(1, min(self.keys_max, asked) // 2)
        if smaller < self.keys_max:
            log.info("endpoint_proof_size", endpoint=self._endpoint, keys=smaller)
        self.keys_max, self._full, self._fitted = smaller, 0, min(self._fitted, smaller)

    def cut_over(self, asked: int, asked_s: float) -> None:
        """The connection was lost while ``asked`` keys, asked for at ``asked_s``, were under way: maybe over them.

        What was under way at an earlier loss tells nothing new: of many on one connection, one counts. As many keys
        as were answered before, and a few, are above suspicion, unless it is one loss after the other and no proof of
        that size between them. Else a connection that is often lost would be asked for ever more, and lost more often.
        """
        last_s, fitted_since = self._cut_s, self._fitted_since_cut
        if asked_s < last_s:
            return
        self._cut_s, self._fitted_since_cut = time.monotonic(), 0
        follows = self._cut_s - last_s < CUTS_APART_S and asked > fitted_since
        if follows or asked > max(self._fitted, KEYS_FEW):
            self.fewer_keys(asked)

    def out_of_time(self, asked: int, asked_s: float) -> None:
        """A proof of ``asked`` keys did not come in time: it may be too much if it is more than ever came, or happens
        again before one comes. Else a slow endpoint would be asked for the same in vain, for ever.

        Of many that were under way at once, one counts.
        """
        if asked_s < self._late_s:
            return
        self._late, self._late_s = self._late + 1, time.monotonic()
        if asked > KEYS_FEW and (asked > self._fitted or self._late > 1):
            self.fewer_keys(max(asked, 2 * KEYS_FEW))

    def proof_fits(self, asked: int) -> None:
        """A proof of ``asked`` keys arrived; after many of full size a larger one is tried."""
        self._late = 0
        self._fitted = max(self._fitted, asked)
        self._fitted_since_cut = max(self._fitted_since_cut, asked)
        if asked == self.keys_max < KEYS_MAX:
            self._full += 1
            if self._full >= KEYS_GROW_AFTER:
                self.keys_max, self._full = min(KEYS_MAX, self.keys_max + max(1, self.keys_max // 8)), 0

    # -- requests in a message

    @property
    def batch_max(self) -> int:
        """Requests that may go in one message; 1 where they go one by one."""
        now_s = time.monotonic()
        if now_s < self._batches_from_s:
            return 1
        return min(self._batch_max, self._busy_max) if now_s < self._busy_until_s else self._batch_max

    def batch_fits(self) -> None:
        """A batch was answered, every request in it."""
        self._losses = 0

    def batch_busy(self, answered: int) -> None:
        """Of a batch only ``answered`` requests were, the others were too many: for a while no more go in one."""
        fewer = max(1, answered)
        if fewer < self.batch_max:
            log.info("endpoint_batch_size", endpoint=self._endpoint, requests=fewer)
            self._busy_max, self._busy_until_s = fewer, time.monotonic() + BATCHES_AGAIN_S

    def batch_lost(self) -> None:
        """A batch was not answered, or not in full; that happens to single requests too."""
        self._losses += 1
        if self._losses >= LOSSES_MAX:
            self._losses = LOSSES_MAX - 1
            self._without_batches("lost")

    def batch_refused(self, asked: int, *, too_large: bool) -> None:
        """A batch of ``asked`` requests was refused as a whole."""
        if too_large and asked > 3:  # a smaller one saves something still
            self._batch_max = min(self._batch_max, asked // 2)
            log.info("endpoint_batch_size", endpoint=self._endpoint, requests=self._batch_max)
        else:
            self._without_batches("too large" if too_large else "refused")

    def _without_batches(self, reason: str) -> None:
        if self.batch_max > 1:
            log.info("endpoint_without_batches", endpoint=self._endpoint, reason=reason, again_s=BATCHES_AGAIN_S)
        self._batches_from_s = time.monotonic() + BATCHES_AGAIN_S

    # -- heights in a request

    @property
    def lists(self) -> bool:
        """Whether it may be asked for the hashes of a list of heights."""
        return time.monotonic() >= self._lists_from_s

    def no_lists(self) -> None:
        """It answered a list of heights with something else than a list of hashes."""
        log.info("endpoint_without_lists", endpoint=self._endpoint, again_s=BATCHES_AGAIN_S)
        self._lists_from_s = time.monotonic() + BATCHES_AGAIN_S
