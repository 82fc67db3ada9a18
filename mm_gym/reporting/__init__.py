"""Presentation of results: tables, pictures, the report and the files of an evaluation."""

from mm_gym.reporting.pictures import Figures, figures

__all__ = ["Figures", "figures"]
