"""The folder of real sources, and a small one of our own in the same shape."""

import gzip
import json
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/prices"


@pytest.fixture
def sources() -> Path:
    """The real sources; a test that uses them bears the marker `shared`."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real price sources is not beside the checkout")
    return SHARED


@pytest.fixture
def small_sources(tmp_path: Path) -> Path:
    """Sources that we made up, a few lines each."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, text in SMALL.items():
        raw = text.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder


SMALL = {
    "aws_karpenter_aws_accel_ondemand.csv.gz": (
        "region,instance_type,usd_per_hour\n"
        "us-east-1,x9.small,1.00\nus-east-1,x9.large,2.00\nus-east-1,y9.large,10.00\n"
    ),
    "aws_karpenter_gov_accel_ondemand.csv.gz": "region,instance_type,usd_per_hour\n",
    "aws_libcloud2023_accel_all_regions.csv.gz": (
        "instance_type,region,usd_per_hour\n"
        "x9.small,us-east-1,1.10\nx9.large,us-east-1,2.01\ny9.large,us-east-1,20.00\n"
        "x9.small,eu-west-1,1.20\nx9.large,eu-west-1,2.64\ny9.large,eu-west-1,24.00\n"
        "x9.small,sa-east-1,0.0\n"
    ),
    "azure_karpenter_N_series_ondemand.csv.gz": (
        "region,sku,usd_per_hour\neastus,Standard_NC6s_v3,3.06\neastus,NVasv4_Type1,7.176\n"
    ),
    "gcp_cyclenerd_accel.csv.gz": (
        "machine_type,region,hour,hour_spot,attrs\n"
        'g2-standard-4,us-central1,0.70,0.40,"{""l4"": 1}"\n'
        'a2-ultragpu-1g,us-central1,5.00,,"{""a100-80gb"": 1, ""local-ssd"": 375}"\n'
    ),
    "gcp_karpenter_accel.csv.gz": (
        "region,machine_type,kind,usd_per_hour\nus-central1,g2-standard-4,on_demand,0.75\n"
    ),
    "aws_describe_instance_types_accel.json.gz": json.dumps(
        {
            "x9.small": {
                "GpuInfo": {
                    "Gpus": [
                        {
                            "Name": "Z1",
                            "Manufacturer": "NVIDIA",
                            "Count": 0,
                            "GpuPartitionSize": 0.25,
                            "LogicalGpuCount": 1,
                            "MemoryInfo": {"SizeInMiB": 6000},
                        }
                    ]
                },
                "VCpuInfo": {"DefaultVCpus": 8},
                "InstanceStorageInfo": {"TotalSizeInGB": 125},
            },
            "n9.small": {
                "NeuronInfo": {
                    "NeuronDevices": [
                        {"Name": "Chip", "Count": 2, "MemoryInfo": {"SizeInMiB": 8192}}
                    ]
                },
                "InferenceAcceleratorInfo": {
                    "Accelerators": [
                        {
                            "Name": "Chip",
                            "Manufacturer": "AWS",
                            "Count": 2,
                            "MemoryInfo": {"SizeInMiB": 8192},
                        }
                    ]
                },
                "VCpuInfo": {"DefaultVCpus": 4},
            },
        }
    ),
    "aws_accelerator_counts.csv": "instance_type,vcpu,memory_mb,gpu\np3.8xlarge,32,249856,4\n",
    "azure_accelerator_counts.csv": (
        "instance_type,vcpu,memory_mb,gpu\n"
        "Standard_NC6s_v3,6,114688,1\nStandard_NV6ads_A10_v5,6,56320,1\n"
    ),
    "aws_accel_region_offerings.json": '{"x9.small": ["us-east-1", "ap-south-1"]}',
}
