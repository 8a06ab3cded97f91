# SPDX-License-Identifier: Apache-2.0
"""Cycle counts before anything runs: a model of the machine's time, without its data."""

from weft.forecast.model import ModelForecast, forecast_model
from weft.forecast.simulate import Forecast, forecast

__all__ = ["Forecast", "ModelForecast", "forecast", "forecast_model"]
