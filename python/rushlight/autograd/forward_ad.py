"""Forward mode, which this library does not have: every entry raises, and names what to use instead.

Source: <https://docs.pytorch.org/docs/stable/autograd.html#forward-mode-automatic-differentiation>
"""


def _refuse(name):
    def refuse(*args, **kwargs):
        raise NotImplementedError(
            f"forward_ad.{name}: there is no forward mode. func.jvp, func.jacfwd and autograd.functional.jvp compute the same "
            "products in reverse mode"
        )

    refuse.__name__ = name
    refuse.__doc__ = "Raises NotImplementedError: there is no forward mode."
    return refuse


dual_level = _refuse("dual_level")
enter_dual_level = _refuse("enter_dual_level")
exit_dual_level = _refuse("exit_dual_level")
make_dual = _refuse("make_dual")
unpack_dual = _refuse("unpack_dual")
