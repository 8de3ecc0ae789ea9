"""Gradients: when they are recorded, how they are asked for, custom functions, numerical checks."""

from autodiff.autograd import functional
from autodiff.autograd.anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from autodiff.autograd.checks import GradcheckError, gradcheck, gradgradcheck
from autodiff.autograd.custom import Function
from autodiff.autograd.gradients import backward, grad
from autodiff.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from autodiff.autograd.variable import Variable

__all__ = [
    "Function",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
