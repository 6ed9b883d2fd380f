"""scaled_dot_product_attention: forward, and with the gradients of query, key and value."""

from compare.registry import Group

attention = Group("attention")


@attention.both(
    "B{0} H{1} L{2} D{3} {4}",
    (8, 8, 128, 32, "causal"),
    (4, 12, 512, 64, "causal"),
    (4, 12, 512, 64, "full"),
    (4, 12, 512, 64, "bool mask"),
    (1, 8, 2048, 64, "causal"),
)
def sdpa(torch, batch, heads, length, width, kind):
    q, k, v = (torch.randn(batch, heads, length, width) for _ in range(3))
    mask = torch.rand(length, length) < 0.8 if kind == "bool mask" else None
    attend = torch.nn.functional.scaled_dot_product_attention
    return lambda: attend(q, k, v, attn_mask=mask, is_causal=kind == "causal"), (q, k, v)
