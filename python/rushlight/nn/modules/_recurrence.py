"""Recurrent layers: as native ops, and as loops over steps for packed sequences, which end at different times."""

import rushlight
from rushlight import _C

_op = _C.functions  # looked into at each call, as autocast regions replace what is in there


def _rnn_step(activation):
    def step(gates, state, w_hh, b_hh, _):
        return (activation(gates + _op["linear"](state[0], w_hh, b_hh)),)

    return step


def _lstm_step(gates, state, w_hh, b_hh, w_hr):
    h, c = state
    i, f, g, o = (gates + _op["linear"](h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else _op["linear"](h, w_hr)), c


def _gru_step(gates, state, w_hh, b_hh, _):
    (h,) = state
    i_r, i_z, i_n = gates.chunk(3, -1)
    h_r, h_z, h_n = _op["linear"](h, w_hh, b_hh).chunk(3, -1)
    r, z = (i_r + h_r).sigmoid(), (i_z + h_z).sigmoid()
    n = (i_n + r * h_n).tanh()
    return (n + z * (h - n),)


STEPS = {
    "RNN_TANH": _rnn_step(_op["tanh"]),
    "RNN_RELU": _rnn_step(_op["relu"]),
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}


def _one_direction(step, data, sizes, state, weights, reverse):
    """Runs one layer over packed `data` `[rows, features]`, in which step t has `sizes[t]` rows.

    Returns the outputs, packed likewise, and the last states. Sequences are sorted by length, the longest first, so
    those that end (or, backwards, begin) are always the last rows.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = _op["linear"](data, w_ih, b_ih).split(sizes)
    outputs = [None] * len(sizes)
    if reverse:
        running = tuple(s[: sizes[-1]] for s in state)
        for t in range(len(sizes) - 1, -1, -1):
            now = running[0].shape[0]
            if sizes[t] > now:
                running = tuple(rushlight.cat([r, s[now:sizes[t]]]) for r, s in zip(running, state))
            running = step(gates[t], running, w_hh, b_hh, w_hr)
            outputs[t] = running[0]
        return rushlight.cat(outputs), running
    finished = []
    running = state
    for t, n in enumerate(sizes):
        if n < running[0].shape[0]:
            finished.append(tuple(r[n:] for r in running))
            running = tuple(r[:n] for r in running)
        running = step(gates[t], running, w_hh, b_hh, w_hr)
        outputs[t] = running[0]
    if finished:
        running = tuple(rushlight.cat(parts) for parts in zip(running, *reversed(finished)))
    return rushlight.cat(outputs), running


def _grouped(params, has_biases, projected):
    """Yields five weights per layer and direction, None where there is none."""
    size = 2 + 2 * has_biases + projected
    for at in range(0, len(params), size):
        group = list(params[at:at + size])
        w_hr = group.pop() if projected else None
        yield (*group, *([] if has_biases else [None, None]), w_hr)


def run_packed(mode, data, sizes, states, params, has_biases, num_layers, dropout, train, bidirectional):
    """Runs all layers over packed `data`; `states` are h (and c) of shape `[layers * directions, batch, features]`.

    Returns the packed outputs and the last states.
    """
    step = STEPS[mode]
    directions = 2 if bidirectional else 1
    per_direction = len(params) // (num_layers * directions)
    groups = list(_grouped(params, has_biases, per_direction == 3 + 2 * has_biases))
    last = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            at = layer * directions + direction
            output, state = _one_direction(step, data, sizes, tuple(s[at] for s in states), groups[at], direction == 1)
            outputs.append(output)
            last.append(state)
        data = outputs[0] if directions == 1 else rushlight.cat(outputs, -1)
        if dropout and train and layer < num_layers - 1:
            data = _op["dropout"](data, dropout)
    return data, tuple(rushlight.stack(parts) for parts in zip(*last))


def run(mode, input, states, params, *options):
    """Runs all layers over `input` `[steps, batch, features]`; `options` are those of the op from `has_biases` on."""
    hx = list(states) if mode == "LSTM" else states[0]
    output, *last = _op[mode.lower()](input, hx, params, *options)
    return output, tuple(last)


def cell(mode, input, states, *weights):
    """Takes one step from `states`; returns the next ones as a tuple."""
    op = _op[mode.lower() + "_cell"]
    return tuple(op(input, list(states), *weights)) if mode == "LSTM" else (op(input, states[0], *weights),)
