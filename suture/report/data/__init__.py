"""ReportData: all that a report says, as data. The pages, tables and plots show it and compute nothing.

What was not measured is None, never 0.
"""

from suture.report.data.arms import FINAL, ArmData, BareSpeed, QuantizationLoss, TestResult
from suture.report.data.compared import Recovery, Rivalry, Standing
from suture.report.data.made import (
    DroppedTensors,
    MergeAccount,
    MergeData,
    MergedModel,
    SourceData,
    StackPart,
    StepData,
    TrainingData,
)
from suture.report.data.probed import LayerData, PositionData, ProbeData
from suture.report.data.row import Difference, Estimate, Interval, Row
from suture.report.data.whole import FORMAT, Finding, ReportData

__all__ = [
    "FINAL",
    "FORMAT",
    "ArmData",
    "BareSpeed",
    "Difference",
    "DroppedTensors",
    "Estimate",
    "Finding",
    "Interval",
    "LayerData",
    "MergeAccount",
    "MergeData",
    "MergedModel",
    "PositionData",
    "ProbeData",
    "QuantizationLoss",
    "Recovery",
    "ReportData",
    "Rivalry",
    "Row",
    "SourceData",
    "StackPart",
    "Standing",
    "StepData",
    "TestResult",
    "TrainingData",
]
