"""What the clouds' own pages say of machine types whose sources give a mere count, or less.

Read from the pages of Azure on GPU sizes, of AWS on P3 and DL1, of Google on A2, A3, G2 and G4.
A type that is not here, or of whose accelerator the page leaves a doubt, stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """One model of accelerator with the memory that the cloud states for it."""

    manufacturer: str
    model: str
    memory_mib: int


A10 = Card("NVIDIA", "A10", 24 * 1024)
A100 = Card("NVIDIA", "A100", 40 * 1024)
A100_80 = Card("NVIDIA", "A100", 80 * 1024)
A100_PCIE = Card("NVIDIA", "A100 PCIe 80GB", 80 * 1024)
GAUDI = Card("Habana", "Gaudi HL-205", 32 * 1024)
H100 = Card("NVIDIA", "H100", 80 * 1024)
H100_NVL = Card("NVIDIA", "H100 NVL", 94 * 1024)
H200 = Card("NVIDIA", "H200", 141 * 1024)
L4 = Card("NVIDIA", "L4", 22888)
M60 = Card("NVIDIA", "M60", 8 * 1024)
MI25 = Card("AMD", "MI25", 16 * 1024)
MI300X = Card("AMD", "MI300X", 192 * 1024)
RTX_PRO_6000 = Card("NVIDIA", "RTX PRO 6000", 96 * 1024)
T4 = Card("NVIDIA", "T4", 16 * 1024)
V100 = Card("NVIDIA", "V100", 16 * 1024)
V100_32 = Card("NVIDIA", "V100", 32 * 1024)
V100_PCIE = Card("NVIDIA", "V100 PCIe", 16 * 1024)

AWS_CARDS = {
    "dl1.24xlarge": GAUDI,
    "p3.2xlarge": V100,
    "p3.8xlarge": V100,
    "p3.16xlarge": V100,
}
"""The number of cards is in the source."""

AZURE_CARDS = {
    "Standard_NC6s_v3": (V100_PCIE, "1"),
    "Standard_NC12s_v3": (V100_PCIE, "2"),
    "Standard_NC24s_v3": (V100_PCIE, "4"),
    "Standard_NC24rs_v3": (V100_PCIE, "4"),
    "Standard_NC4as_T4_v3": (T4, "1"),
    "Standard_NC8as_T4_v3": (T4, "1"),
    "Standard_NC16as_T4_v3": (T4, "1"),
    "Standard_NC64as_T4_v3": (T4, "4"),
    "Standard_NC24ads_A100_v4": (A100_PCIE, "1"),
    "Standard_NC48ads_A100_v4": (A100_PCIE, "2"),
    "Standard_NC96ads_A100_v4": (A100_PCIE, "4"),
    "Standard_NC40ads_H100_v5": (H100_NVL, "1"),
    "Standard_NC80adis_H100_v5": (H100_NVL, "2"),
    "Standard_NCC40ads_H100_v5": (H100_NVL, "1"),
    "Standard_ND40rs_v2": (V100_32, "8"),
    "Standard_ND96asr_v4": (A100, "8"),
    "Standard_ND96amsr_A100_v4": (A100_80, "8"),
    "Standard_ND96isr_H100_v5": (H100, "8"),
    "Standard_ND96isr_H200_v5": (H200, "8"),
    "Standard_ND96isr_MI300X_v5": (MI300X, "8"),
    "Standard_NV6ads_A10_v5": (A10, "1/6"),
    "Standard_NV12ads_A10_v5": (A10, "1/3"),
    "Standard_NV18ads_A10_v5": (A10, "1/2"),
    "Standard_NV36ads_A10_v5": (A10, "1"),
    "Standard_NV36adms_A10_v5": (A10, "1"),
    "Standard_NV72ads_A10_v5": (A10, "2"),
    "Standard_NV4as_v4": (MI25, "1/8"),
    "Standard_NV8as_v4": (MI25, "1/4"),
    "Standard_NV16as_v4": (MI25, "1/2"),
    "Standard_NV32as_v4": (MI25, "1"),
    "Standard_NV6s_v2": (M60, "1"),
    "Standard_NV12s_v2": (M60, "2"),
    "Standard_NV24s_v2": (M60, "4"),
    "Standard_NV12s_v3": (M60, "1"),
    "Standard_NV24s_v3": (M60, "2"),
    "Standard_NV48s_v3": (M60, "4"),
}
"""The page says more than the source's count where a size has a slice of a card."""

GCP_CARDS = {
    "a100": A100,
    "a100-80gb": A100_80,
    "h100-80gb": H100,
    "h100-80gb-mega": H100,
    "l4": L4,
    "rtx6000": RTX_PRO_6000,
}
"""By the name that the source gives the accelerator."""

GCP_VCPUS = {
    "a2-highgpu-1g": 12,
    "a2-highgpu-2g": 24,
    "a2-highgpu-4g": 48,
    "a2-highgpu-8g": 96,
    "a2-megagpu-16g": 96,
    "a2-ultragpu-1g": 12,
    "a2-ultragpu-2g": 24,
    "a2-ultragpu-4g": 48,
    "a2-ultragpu-8g": 96,
    "a3-highgpu-1g": 26,
    "a3-highgpu-2g": 52,
    "a3-highgpu-4g": 104,
    "a3-highgpu-8g": 208,
    "a3-megagpu-8g": 208,
}
"""Where the name of the type ends in its number of GPUs; in other families, vCPUs end it."""
