# SPDX-License-Identifier: Apache-2.0
"""AXI4 and AXI4-Lite signatures, and their ports under the names that integrators expect.

Inside, a bus is an interface with members ``awaddr``, ``awvalid`` and so on. Amaranth would name
the ports of such a member ``m_axi__awaddr``; a top level that wants ``m_axi_awaddr`` declares the
bus flat and joins the two::

    super().__init__({**flat_members("m_axi", axi4_signature(config)), ...})
    ...
    connect_flat(m, self, "m_axi", memory_port.axi)
"""

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Out

from weft_arch.config import Configuration

__all__ = [
    "AXI_ID_WIDTH",
    "RESPONSE_OKAY",
    "RESPONSE_SLVERR",
    "axi4_signature",
    "axi_lite_signature",
    "connect_flat",
    "flat_members",
]

AXI_ID_WIDTH = 1
"""All transactions carry ID 0, so responses come in order."""
RESPONSE_OKAY = 0
RESPONSE_SLVERR = 2
"""Bit 1 of a response is set for SLVERR and DECERR."""


def _channel(name: str, payload: dict[str, int], flow: Flow) -> dict[str, Any]:
    back = In if flow is Out else Out
    members = {f"{name}{field}": flow(width) for field, width in payload.items()}
    return {**members, f"{name}valid": flow(1), f"{name}ready": back(1)}


def axi4_signature(config: Configuration) -> wiring.Signature:
    """The AXI4 manager's port: 32-bit addresses, ``beat_bytes`` wide data, no user signals."""
    address = {
        "id": AXI_ID_WIDTH,
        "addr": 32,
        "len": 8,
        "size": 3,
        "burst": 2,
        "lock": 1,
        "cache": 4,
        "prot": 3,
        "qos": 4,
        "region": 4,
    }
    data_bits = 8 * config.beat_bytes
    write_data = {"data": data_bits, "strb": config.beat_bytes, "last": 1}
    read_data = {"id": AXI_ID_WIDTH, "data": data_bits, "resp": 2, "last": 1}
    return wiring.Signature(
        {
            **_channel("aw", address, Out),
            **_channel("w", write_data, Out),
            **_channel("b", {"id": AXI_ID_WIDTH, "resp": 2}, In),
            **_channel("ar", address, Out),
            **_channel("r", read_data, In),
        }
    )


def axi_lite_signature(address_width: int = 32) -> wiring.Signature:
    """The AXI4-Lite subordinate's port: 32-bit data."""
    address = {"addr": address_width, "prot": 3}
    return wiring.Signature(
        {
            **_channel("aw", address, In),
            **_channel("w", {"data": 32, "strb": 4}, In),
            **_channel("b", {"resp": 2}, Out),
            **_channel("ar", address, In),
            **_channel("r", {"data": 32, "resp": 2}, Out),
        }
    )


def flat_members(prefix: str, signature: wiring.Signature) -> dict[str, Any]:
    """The members of ``signature`` as members ``<prefix>_<name>`` of a component."""
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


def connect_flat(m: Module, component: wiring.Component, prefix: str, bus: Any) -> None:
    """Join the flat members of ``component`` with a submodule's bus of the same signature."""
    for name, member in bus.signature.members.items():
        outer, inner = getattr(component, f"{prefix}_{name}"), getattr(bus, name)
        if member.flow is Out:
            m.d.comb += outer.eq(inner)
        else:
            m.d.comb += inner.eq(outer)
