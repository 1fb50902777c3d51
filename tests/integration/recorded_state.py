"""The recorded chain at every block, read by plain structs: balances, shares, prices, neurons.

Shares no code with the indexer and asks no database: what the cookbook's answers are held against.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

from scalecodec.utils.ss58 import ss58_encode
from tape import State, blocks, compact, identity, prefix, twox

LAST = 88
Position = tuple[str, str, int]
"""hotkey, coldkey, netuid."""


@dataclass(frozen=True)
class Account:
    """AccountInfo, without its reference counters."""

    nonce: int
    free: int
    reserved: int
    frozen: int


def address(account: bytes) -> str:
    """SS58 of an account."""
    return str(ss58_encode(account, 42))


def rounded(value: Fraction | int, digits: int) -> Decimal:
    """As SQL's ``round``: half away from zero."""
    with localcontext() as context:
        context.prec = 100
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def tao(rao: Fraction | int) -> Decimal:
    """Rao as TAO, to the last rao."""
    return rounded(Fraction(rao) / 10**9, 9)


class RecordedStates:
    """The state after each block of a tape of specs 293 and 300."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines = []
        self._states: list[State] = []
        for recorded in blocks(file):
            self.lines.append(recorded.line)
            self._states.append(dict(recorded.state))

    def raw(self, block: int, item: str, *parts: bytes) -> bytes | None:
        """A stored value; ``parts`` are the key's parts, already hashed."""
        return self._states[block].get(prefix(item) + b"".join(parts))

    def number(self, block: int, item: str, *parts: bytes) -> int | None:
        """A stored unsigned integer of any width."""
        found = self.raw(block, item, *parts)
        return None if found is None else int.from_bytes(found, "little")

    def entries(self, block: int, item: str) -> dict[bytes, bytes]:
        """Every key of a map, without its prefix, with its value."""
        start = prefix(item)
        return {key[32:]: value for key, value in self._states[block].items() if key[:32] == start}

    def time(self, block: int) -> datetime:
        """Timestamp.Now of a block that set it."""
        now_ms = self.number(block, "Timestamp.Now")
        assert now_ms
        return datetime.fromtimestamp(now_ms / 1000, UTC)

    def accounts(self, block: int) -> dict[str, Account]:
        """System.Account."""
        return {
            address(key[16:]): Account(*struct.unpack_from("<I12xQQQ", value))
            for key, value in self.entries(block, "System.Account").items()
        }

    def issuance(self, block: int, pallet: str) -> int:
        """TotalIssuance as a pallet counts it."""
        return self.number(block, f"{pallet}.TotalIssuance") or 0

    def owner(self, block: int, hotkey: str) -> str | None:
        """Coldkey that owns a hotkey."""
        return self.owners(block).get(hotkey)

    def owners(self, block: int) -> dict[str, str]:
        """SubtensorModule.Owner."""
        found = self.entries(block, "SubtensorModule.Owner").items()
        return {address(key[16:]): address(value) for key, value in found}

    def shares(self, block: int) -> dict[Position, int]:
        """SubtensorModule.Alpha: bits of the U64F64, zeros left out."""
        found = {}
        for key, value in self.entries(block, "SubtensorModule.Alpha").items():
            bits = int.from_bytes(value, "little")
            if bits:
                found[address(key[16:48]), address(key[64:96]), int.from_bytes(key[96:98], "little")] = bits
        return found

    def pool(self, block: int, hotkey: str, netuid: int) -> tuple[int, int]:
        """(alpha of a hotkey on a subnet in rao, bits of all its shares)."""
        return self._pools(block, "TotalHotkeyAlpha", hotkey, netuid), self._pools(
            block, "TotalHotkeyShares", hotkey, netuid
        )

    def _pools(self, block: int, item: str, hotkey: str, netuid: int) -> int:
        for key, value in self.entries(block, f"SubtensorModule.{item}").items():
            if address(key[16:48]) == hotkey and int.from_bytes(key[48:50], "little") == netuid:
                return int.from_bytes(value, "little")
        return 0

    def alpha(self, share_bits: int, pool: tuple[int, int]) -> int:
        """Worth of a share in rao: U64F64 arithmetic of MODEL.md 2.2; the recorded quotients do not overflow."""
        alpha, all_bits = pool
        return ((alpha << 128) // all_bits * share_bits) >> 128 if all_bits else 0

    def positions(self, block: int) -> dict[Position, int]:
        """Alpha of every position in rao, zeros left out."""
        found = {
            (hotkey, coldkey, netuid): self.alpha(bits, self.pool(block, hotkey, netuid))
            for (hotkey, coldkey, netuid), bits in self.shares(block).items()
        }
        return {position: alpha for position, alpha in found.items() if alpha}

    def worth(self, block: int) -> dict[Position, int]:
        """The same in rao of TAO at the spot price."""
        return {key: int(alpha * self.price(block, key[2])) for key, alpha in self.positions(block).items()}

    def price(self, block: int, netuid: int) -> Fraction:
        """TAO per alpha: 1 without a dynamic pool, the square of AlphaSqrtPrice or the quotient of the reserves."""
        part = netuid.to_bytes(2, "little")
        if netuid == 0 or not self.number(block, "SubtensorModule.SubnetMechanism", identity(part)):
            return Fraction(1)
        root = self.number(block, "Swap.AlphaSqrtPrice", twox(part))
        if self.number(block, "Swap.SwapV3Initialized", twox(part)) and root:
            return Fraction(root, 1 << 64) ** 2
        alpha = self.number(block, "SubtensorModule.SubnetAlphaIn", identity(part))
        return Fraction(self.number(block, "SubtensorModule.SubnetTAO", identity(part)) or 0, alpha or 1)

    def flows(self, first: int, last: int) -> list[tuple[int, str, str, int, int, int, bool]]:
        """(block, hotkey, coldkey, netuid, alpha, TAO, owner?) of each share that a block after ``first`` changed."""
        found = []
        before = self.shares(first)
        for block in range(first + 1, last + 1):
            after = self.shares(block)
            for key in before.keys() | after.keys():
                was, now = before.get(key, 0), after.get(key, 0)
                if was == now:
                    continue
                hotkey, coldkey, netuid = key
                pool = self.pool(block, hotkey, netuid)
                if not pool[1]:
                    pool = self.pool(block - 1, hotkey, netuid)
                flow = self.alpha(now, pool) - self.alpha(was, pool)
                worth = int(flow * self.price(block, netuid))
                found.append((block, hotkey, coldkey, netuid, flow, worth, self.owner(block, hotkey) == coldkey))
            before = after
        return found

    def vector(self, block: int, item: str, netuid: int, width: int) -> list[int]:
        """A vector per uid, as unsigned integers of ``width`` bytes."""
        data = self.raw(block, f"SubtensorModule.{item}", identity(netuid.to_bytes(2, "little"))) or b"\0"
        count, at = compact(data, 0)
        return [int.from_bytes(data[at + width * n : at + width * (n + 1)], "little") for n in range(count)]

    def uids(self, block: int) -> dict[tuple[int, int], str]:
        """Hotkey by (netuid, uid)."""
        return {
            (int.from_bytes(key[:2], "little"), int.from_bytes(key[2:4], "little")): address(value)
            for key, value in self.entries(block, "SubtensorModule.Keys").items()
        }

    def registered_at(self, block: int, netuid: int, uid: int) -> int:
        """Block at which a neuron was registered."""
        parts = (identity(number.to_bytes(2, "little")) for number in (netuid, uid))
        return self.number(block, "SubtensorModule.BlockAtRegistration", *parts) or 0

    def subnet(self, block: int, item: str, netuid: int) -> int | None:
        """A number that SubtensorModule keeps of a subnet."""
        return self.number(block, f"SubtensorModule.{item}", identity(netuid.to_bytes(2, "little")))
