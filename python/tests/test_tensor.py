"""Tensors from data, arguments and operators, against live PyTorch: value, dtype, shape, strides, class, exception types."""

import pytest
import rushlight

pytest.importorskip("torch")

from both import rows, same  # noqa: E402

# `tensor`, `as_tensor`, `asarray`, `from_numpy`, `frombuffer`, legacy constructors, `new_*`.
CONSTRUCTION = rows("""
    torch.tensor(1)
    torch.tensor(1.5)
    torch.tensor(True)
    torch.tensor([])
    torch.tensor([[]])
    torch.tensor([[], []])
    torch.tensor(())
    torch.tensor([1, 2, 3])
    torch.tensor((1, 2, 3))
    torch.tensor([1, 2.5])
    torch.tensor([True, False])
    torch.tensor([True, 2])
    torch.tensor([True, 2.5])
    torch.tensor([[1, 2], [3, 4]])
    torch.tensor([(1, 2), (3, 4)])
    torch.tensor([[[1, 2]], [[3, 4]]])
    torch.tensor(range(4))
    torch.tensor([range(2), range(2)])
    torch.tensor([1, 2], dtype=torch.float32)
    torch.tensor([1.7, -1.7], dtype=torch.int64)
    torch.tensor([1.5], dtype=torch.bool)
    torch.tensor([0.0, float('nan')], dtype=torch.bool)
    torch.tensor([-1], dtype=torch.uint8)
    torch.tensor([-128], dtype=torch.int8)
    torch.tensor([2**31 - 1], dtype=torch.int32)
    torch.tensor([1e6], dtype=torch.float16)
    torch.tensor([1e60], dtype=torch.float32)
    torch.tensor([2**62 + 1])
    torch.tensor([2**62 + 1], dtype=torch.float64)
    torch.tensor([2**63], dtype=torch.float32)
    torch.tensor([2**64], dtype=torch.float64)
    torch.tensor(-2**63)
    torch.tensor([1, 2], dtype=float)
    torch.tensor([1.0, 2], dtype=int)
    torch.tensor([1.0, 0], dtype=bool)
    torch.tensor([1], dtype=None)
    torch.tensor([1], device='cpu')
    torch.tensor([1], device=torch.device('cpu'))
    torch.tensor([1], device=None)
    torch.tensor([1], device=3.5)
    torch.tensor([1], device='nowhere')
    torch.tensor([1.], requires_grad=True)
    torch.tensor([1], pin_memory=False)
    torch.tensor([1], torch.float32)
    torch.tensor()
    torch.tensor(data=[1])
    torch.tensor(torch.tensor([1, 2]))
    torch.tensor(torch.tensor([1., 2.], requires_grad=True))
    torch.tensor(torch.tensor([1, 2]), dtype=torch.float32)
    torch.tensor([torch.tensor(1), torch.tensor(2)])
    torch.tensor([torch.tensor(1.5), 2])
    torch.tensor([torch.tensor([1]), torch.tensor([2])])
    torch.tensor([torch.tensor(1.5), torch.tensor(2)])
    torch.tensor([torch.tensor(1.5, dtype=torch.float64), 2.5])
    torch.tensor([1, torch.tensor(1.5, dtype=torch.float64)])
    torch.tensor([torch.tensor(True), torch.tensor(False)])
    torch.tensor([torch.tensor(3, dtype=torch.uint8)])
    torch.tensor([torch.tensor(3, dtype=torch.float16)])
    torch.tensor(np.float64(1))
    torch.tensor(np.float32(1))
    torch.tensor(np.float16(1))
    torch.tensor(np.int8(1))
    torch.tensor(np.uint8(200))
    torch.tensor(np.int32(1))
    torch.tensor(np.int64(1))
    torch.tensor(np.bool_(True))
    torch.tensor([np.float64(1), np.float64(2)])
    torch.tensor([np.float32(1), np.float32(2)])
    torch.tensor([np.float32(1), 2.5])
    torch.tensor([np.int32(1), np.int32(2)])
    torch.tensor([np.int8(1), 2])
    torch.tensor([np.bool_(True), np.bool_(False)])
    torch.tensor([np.float16(1)])
    torch.tensor([np.uint16(1)]).tolist()
    torch.tensor(np.array(1.5))
    torch.tensor(np.array([1, 2]))
    torch.tensor(np.array([1., 2.]))
    torch.tensor([np.array([1, 2]), np.array([3, 4])])
    torch.tensor([np.array([1., 2.]), np.array([3., 4.])])
    torch.tensor((np.float64(1), 2))
    torch.tensor(np.array([]))
    torch.tensor(np.zeros((0, 3)))
    torch.tensor(np.arange(6).reshape(2, 3).T)
    torch.tensor(np.arange(6)[::2])
    torch.tensor(np.array(['a']))
    torch.tensor(np.array([None]))
    torch.tensor(np.array([1, 2]), dtype=torch.float32)
    torch.tensor(np.array([1.7]), dtype=torch.int64)
    torch.tensor(np.array([300.]), dtype=torch.uint8).dtype
    torch.tensor(np.array([True, False]))
    torch.tensor(bytearray(b'ab'))
    torch.tensor(memoryview(b'ab'))
    torch.tensor(__import__('array').array('i', [1, 2]))
    torch.tensor(__import__('array').array('d', [1, 2]))
    torch.tensor(__import__('decimal').Decimal('1.5'))
    torch.tensor([__import__('decimal').Decimal('1.5')])
    torch.tensor(__import__('collections').deque([1, 2]))
    torch.as_tensor(1)
    torch.as_tensor([1, 2.5])
    torch.as_tensor(np.float64(1))
    torch.as_tensor(np.float32(1))
    torch.as_tensor(np.array(1))
    torch.as_tensor([1], dtype=torch.float64)
    torch.as_tensor([1], dtype=torch.float64, device='cpu')
    x = torch.ones(2); torch.as_tensor(x) is x
    x = torch.ones(2, requires_grad=True); torch.as_tensor(x) is x
    x = torch.ones(2); torch.as_tensor(x, dtype=torch.float64) is x
    x = torch.ones(2); torch.as_tensor(x, dtype=torch.float32) is x
    a = np.ones(2); t = torch.as_tensor(a); a[0] = 5; t
    a = np.ones(2); t = torch.as_tensor(a, dtype=torch.float32); a[0] = 5; t
    a = np.ones(2); t = torch.tensor(a); a[0] = 5; t
    a = np.ones(2); t = torch.from_numpy(a); a[0] = 5; t
    a = np.ones(2); t = torch.from_numpy(a); t[0] = 5; a
    a = np.ones(2); t = torch.from_numpy(a); t += 1; a
    a = np.ones(2); t = torch.from_numpy(a); t.add_(1).mul_(2); a
    a = np.ones(2); t = torch.from_numpy(a); t.neg_(); a
    a = np.ones(2); t = torch.from_numpy(a); t.zero_(); a
    a = np.ones(2); t = torch.from_numpy(a); t.fill_(3); a
    a = np.ones(2); t = torch.from_numpy(a); t.copy_(torch.tensor([7, 8])); a
    a = np.ones(2); t = torch.from_numpy(a); t.normal_().zero_(); a
    a = np.ones(2); t = torch.from_numpy(a); t[:] = torch.tensor([7, 8]); a
    a = np.ones(2); t = torch.from_numpy(a); t[t > 0] = 4; a
    a = np.ones(2); t = torch.from_numpy(a); t.clamp_(max=0.5); a
    a = np.ones(2); t = torch.from_numpy(a); torch.add(t, 1, out=t); a
    a = np.ones((2, 3)); t = torch.from_numpy(a); t.t_(); t.add_(1); a
    a = np.ones((2, 3)); t = torch.from_numpy(a); t[0].mul_(5); a
    a = np.ones((2, 3)); t = torch.from_numpy(a).view(-1); t[0] = 5; a
    a = np.arange(6.).reshape(2, 3); torch.from_numpy(a.T)
    a = np.arange(6.).reshape(2, 3); torch.from_numpy(a[:, ::2])
    a = np.arange(6.).reshape(2, 3); t = torch.from_numpy(a[:, 1:]); t += 1; a
    torch.from_numpy(np.float64(1))
    torch.from_numpy(np.array('a'))
    torch.from_numpy(np.array(3))
    torch.from_numpy(np.zeros((0, 2)))
    torch.from_numpy(np.broadcast_to(np.float32(1), (2, 2)).copy())
    torch.from_numpy(np.array([1], dtype='datetime64[s]'))
    torch.from_numpy(np.array([1, 2], dtype=np.longlong))
    torch.from_numpy(np.array([1, 2], dtype=np.intc))
    torch.from_numpy(np.array([True, False])).logical_not_()
    torch.asarray([1, 2])
    torch.asarray(np.array([1, 2]))
    torch.asarray(np.float64(2))
    torch.asarray(1.5)
    torch.asarray([1, 2], dtype=torch.float32)
    torch.asarray([1., 2.], requires_grad=True)
    x = torch.ones(2); torch.asarray(x) is x
    x = torch.ones(2, requires_grad=True); torch.asarray(x)
    x = torch.ones(2, requires_grad=True); torch.asarray(x, requires_grad=True)
    x = torch.ones(2); torch.asarray(x, copy=True).data_ptr() == x.data_ptr()
    x = torch.ones(2); torch.asarray(x, copy=False).data_ptr() == x.data_ptr()
    torch.asarray(bytearray(b'abcd'), dtype=torch.uint8)
    torch.asarray(bytearray(b'abcd'), dtype=torch.int32).shape
    a = np.ones(2); t = torch.asarray(a, copy=True); a[0] = 2; t
    a = np.ones(2); t = torch.asarray(a); a[0] = 2; t
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.uint8)
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.int16).shape
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.uint8, count=2)
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.uint8, offset=1)
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.uint8, count=2, offset=1)
    torch.frombuffer(bytearray(b'abcd'), dtype=torch.uint8, count=-2)
    torch.frombuffer(b'abcd', dtype=torch.uint8)
    torch.frombuffer(bytearray(b'abcd'))
    torch.frombuffer(bytearray(b'\\0\\0\\x80\\x3f'), dtype=torch.float32, requires_grad=True)
    b = bytearray(b'abcd'); t = torch.frombuffer(b, dtype=torch.uint8); t[0] = 65; b
    b = bytearray(b'abcd'); t = torch.frombuffer(b, dtype=torch.uint8); t += 1; b
    b = bytearray(b'abcd'); t = torch.frombuffer(b, dtype=torch.uint8); b[0] = 1; t
    b = __import__('array').array('f', [1, 2]); t = torch.frombuffer(b, dtype=torch.float32); t *= 3; list(b)
    torch.Tensor().shape
    torch.Tensor(2, 3).shape
    torch.Tensor(2).shape
    torch.Tensor([2, 3])
    torch.Tensor([2])
    torch.Tensor((2, 3))
    torch.Tensor([[1, 2], [3, 4]])
    torch.Tensor(torch.Size([2, 3])).shape
    torch.Tensor(torch.ones(2))
    torch.Tensor(torch.ones(2, dtype=torch.int64))
    torch.Tensor(np.array([1, 2]))
    torch.Tensor(-1)
    torch.FloatTensor([1, 2])
    torch.LongTensor([1, 2])
    torch.LongTensor(2, 3).shape
    torch.LongTensor([1.5])
    torch.ByteTensor([1, 255])
    torch.BoolTensor([1, 0])
    torch.DoubleTensor([1])
    torch.HalfTensor([1])
    torch.IntTensor([[1]])
    torch.IntTensor(torch.ones(2, dtype=torch.int32))
    isinstance(torch.ones(1), torch.FloatTensor), isinstance(torch.ones(1), torch.LongTensor), isinstance(torch.ones(1), torch.Tensor)
    torch.ones(1).type(), torch.ones(1).type(torch.float64), torch.ones(1).type('torch.LongTensor')
    x = torch.ones(2, dtype=torch.float64); x.new_zeros(2), x.new_zeros((2, 3)), x.new_zeros(2, 3), x.new_ones(2, dtype=torch.int32), x.new_full((2,), 7), x.new_empty(3).shape
    x = torch.ones(2, dtype=torch.float64); x.new_tensor([1, 2]), x.new_tensor(3), x.new_tensor([1, 2], dtype=torch.int32), x.new_tensor([1.], requires_grad=True)
    x = torch.ones(2, dtype=torch.int64); x.new_tensor([1.5]), x.new(2).shape, x.new([1, 2])
    x = torch.ones(2, dtype=torch.int64); x.new_full((2,), 1.5)
    x = torch.ones(2); x.new_zeros(2, requires_grad=True), x.new_zeros((), device='cpu'), x.new_zeros([2])
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", CONSTRUCTION)
def test_construction(text):
    same(text)


# Positions, keywords, sizes one by one, aliases of names, overloads, `out=`, named results.
ARGUMENTS = rows("""
    torch.zeros(2, 3)
    torch.zeros((2, 3))
    torch.zeros([2, 3])
    torch.zeros(torch.Size([2, 3]))
    torch.zeros(size=(2, 3))
    torch.zeros(2)
    torch.zeros(())
    torch.zeros([])
    torch.zeros(2, 3, dtype=torch.int32)
    torch.zeros((2, 3), dtype=int)
    torch.zeros(2, dtype=float)
    torch.zeros(2, dtype=bool)
    torch.zeros(2, requires_grad=True)
    torch.zeros(2, layout=torch.strided)
    torch.zeros(2, pin_memory=False)
    torch.zeros(2, device='cpu')
    torch.zeros(2, device=torch.device('cpu', 0))
    torch.zeros((2.5,))
    torch.zeros(2, None)
    torch.zeros(-1)
    torch.zeros((2, -1))
    torch.zeros(2, (3,))
    torch.zeros(np.int64(2), np.int32(3))
    torch.zeros((np.int64(2), 3))
    torch.zeros(np.array([2, 3]))
    torch.zeros(torch.tensor(2), 3)
    torch.zeros((torch.tensor(2), 3))
    torch.zeros(2, 3, out=torch.empty(2, 3))
    torch.ones(2, 3).reshape(3, 2)
    torch.ones(2, 3).reshape((3, 2))
    torch.ones(2, 3).reshape([3, -1])
    torch.ones(2, 3).reshape(-1)
    torch.ones(2, 3).reshape(shape=(3, 2))
    torch.ones(2, 3).reshape(torch.tensor(3), 2)
    torch.ones(2, 3).reshape(torch.tensor(3), torch.tensor(2))
    torch.ones(2, 3).view(3, 2)
    torch.ones(2, 3).view(torch.int32)
    torch.ones(2, 3).view(-1)
    torch.ones(2, 3).view(size=(6,))
    torch.ones(2, 3).view(np.int64(6))
    torch.ones(2, 3).view(2.0, 3)
    torch.ones(2, 3).permute(1, 0)
    torch.ones(2, 3).permute((1, 0))
    torch.ones(2, 3).permute(dims=(1, 0))
    torch.ones(2, 3).expand(4, 2, 3)
    torch.ones(2, 3).expand((4, -1, -1))
    torch.ones(2, 3).repeat(2, 2)
    torch.ones(2, 3).repeat((2, 2))
    torch.ones(2, 3).repeat(2)
    torch.ones(2, 3).tile(2)
    torch.ones(2, 3).tile((2, 1))
    torch.ones(2, 3).flip(0)
    torch.ones(2, 3).flip(0, 1)
    torch.ones(2, 3).flip([0, 1])
    torch.ones(2, 3).sum()
    torch.ones(2, 3).sum(1)
    torch.ones(2, 3).sum(dim=1)
    torch.ones(2, 3).sum((0, 1))
    torch.ones(2, 3).sum([0])
    torch.ones(2, 3).sum(1, True)
    torch.ones(2, 3).sum(1, keepdim=True)
    torch.ones(2, 3).sum(axis=1)
    torch.ones(2, 3).sum(axis=(0, 1), keepdims=True)
    torch.ones(2, 3).sum(dim=1, keepdims=True)
    torch.ones(2, 3).sum(dim=None)
    torch.ones(2, 3).sum(dtype=torch.float64)
    torch.ones(2, 3).sum(0, dtype=torch.int64)
    torch.ones(2, 3).sum(dim='a')
    torch.sum(input=torch.ones(2))
    torch.sum([1, 2])
    torch.mean(torch.ones(2, 3), 1)
    torch.mean(torch.ones(2, 3), dim=(0, 1))
    torch.mean(torch.ones(2, dtype=torch.int64), dtype=torch.float32)
    torch.max(torch.tensor([1., 3., 2.]))
    torch.max(torch.tensor([[1., 3.], [2., 0.]]), 1)
    torch.max(torch.tensor([[1., 3.], [2., 0.]]), dim=1, keepdim=True)
    torch.max(torch.tensor([1., 3.]), torch.tensor([2., 0.]))
    torch.tensor([1., 3.]).max(0).values
    torch.tensor([1., 3.]).max(0).indices
    torch.tensor([1., 3.]).max(0)[1]
    v, i = torch.tensor([1., 3.]).max(0); v, i
    r = torch.tensor([1., 3.]).max(0); len(r), r[0], type(r).__name__, isinstance(r, tuple)
    r = torch.sort(torch.tensor([3., 1.])); r.values, r.indices
    r = torch.topk(torch.tensor([3., 1., 2.]), 2); r.values, r.indices
    torch.topk(torch.tensor([3., 1., 2.]), k=2, largest=False)
    torch.sort(torch.tensor([3., 1.]), descending=True)
    torch.sort(torch.tensor([3., 1.]), 0, True)
    torch.sort(torch.tensor([3., 1.]), stable=True)
    torch.median(torch.tensor([3., 1., 2.]))
    torch.median(torch.tensor([3., 1., 2.]), 0)
    torch.mode(torch.tensor([3., 1., 3.]))
    torch.kthvalue(torch.tensor([3., 1., 2.]), 2)
    torch.cummax(torch.tensor([3., 1., 4.]), 0)
    torch.aminmax(torch.tensor([3., 1., 2.]))
    torch.aminmax(torch.tensor([3., 1., 2.])).min
    repr(torch.tensor([1., 3.]).max(0))
    repr(torch.sort(torch.tensor([[3., 1.]])))
    str(torch.topk(torch.tensor([3., 1., 2.]), 2))
    torch.add(torch.ones(2), torch.ones(2), alpha=2)
    torch.add(torch.ones(2), 1)
    torch.add(1, torch.ones(2))
    torch.add(torch.ones(2), 1, alpha=2)
    torch.add(torch.ones(2), other=1)
    torch.add(input=torch.ones(2), other=torch.ones(2))
    torch.add(x1=torch.ones(2), x2=1)
    torch.add(torch.ones(2), [1, 2])
    torch.add(torch.ones(2), (1,))
    torch.add(torch.ones(2), np.float64(2))
    torch.add(torch.ones(2), np.int64(2))
    torch.add(torch.ones(2), True)
    torch.add(torch.ones(2, dtype=torch.int64), 1.5)
    torch.add(torch.ones(2, dtype=torch.int64), np.float64(1.5))
    torch.add(torch.ones(2, dtype=torch.bool), True)
    torch.add(torch.ones(2))
    torch.mul(torch.ones(2), 2)
    torch.mul(2, torch.ones(2))
    torch.div(torch.ones(2), 2, rounding_mode='floor')
    torch.pow(torch.ones(2), 2)
    torch.pow(2, torch.ones(2))
    torch.pow(2, 2)
    torch.pow(torch.ones(2), exponent=2)
    torch.where(torch.tensor([True, False]), 1, 0)
    torch.where(torch.tensor([True, False]), 1.0, 0)
    torch.where(torch.tensor([True, False]), torch.ones(2), 0)
    torch.where(torch.tensor([True, False]))
    torch.clamp(torch.ones(2), 0, 0.5)
    torch.clamp(torch.ones(2), min=0)
    torch.clamp(torch.ones(2), max=0.5)
    torch.clamp(torch.ones(2), torch.tensor(0.), torch.tensor(0.5))
    torch.clamp(torch.ones(2), None, 0.5)
    torch.clamp(torch.ones(2, dtype=torch.int64), 0.5, 2.5)
    torch.cat([torch.ones(2), torch.zeros(1)])
    torch.cat((torch.ones(2), torch.zeros(1)), 0)
    torch.cat([torch.ones(2, 1), torch.zeros(2, 1)], dim=1)
    torch.cat([torch.ones(2, 1), torch.zeros(2, 1)], axis=1)
    torch.cat(tensors=[torch.ones(2)])
    torch.cat([1, 2])
    torch.cat([torch.ones(2), 1])
    torch.cat([torch.ones(2), None])
    torch.cat([torch.ones(2), torch.zeros(1)], out=torch.empty(3))
    torch.stack([torch.ones(2), torch.zeros(2)], -1)
    torch.stack(torch.ones(2, 2).unbind())
    torch.split(torch.arange(5), 2)
    torch.split(torch.arange(5), [2, 3])
    torch.arange(5).split(2)
    torch.arange(5).split([2, 3], dim=0)
    torch.chunk(torch.arange(5), 2)
    torch.arange(5)
    torch.arange(1, 5)
    torch.arange(1, 5, 2)
    torch.arange(0, 1, 0.25)
    torch.arange(5.)
    torch.arange(5, dtype=torch.float64)
    torch.arange(end=5)
    torch.arange(start=1, end=5, step=2)
    torch.arange(torch.tensor(5))
    torch.arange(np.int64(5))
    torch.arange(np.float64(2.5))
    torch.arange(True)
    torch.linspace(0, 1, 5)
    torch.linspace(0, 1, steps=5)
    torch.linspace(start=0, end=1, steps=5, dtype=torch.float64)
    torch.linspace(0, 1)
    torch.full((2, 2), 3)
    torch.full((2, 2), 3.5)
    torch.full((2,), True)
    torch.full([2], fill_value=1)
    torch.full((2,), torch.tensor(3))
    torch.full((2,), np.float32(3))
    torch.full(size=(2,), fill_value=1, dtype=torch.float64)
    torch.eye(2)
    torch.eye(2, 3)
    torch.eye(n=2, m=3, dtype=torch.int64)
    torch.rand(2, 3).shape
    torch.rand((2, 3)).shape
    torch.rand(2, 3, generator=torch.Generator().manual_seed(1))
    torch.randn(size=(2,), generator=torch.Generator().manual_seed(1))
    torch.randint(10, (3,), generator=torch.Generator().manual_seed(1))
    torch.randint(2, 10, (3,), generator=torch.Generator().manual_seed(1))
    torch.randint(low=2, high=10, size=(3,), generator=torch.Generator().manual_seed(1))
    torch.randint(high=10, size=(3,)).shape
    torch.randint(10, [3], dtype=torch.int32).dtype
    torch.randperm(4, generator=torch.Generator().manual_seed(1))
    torch.rand(2, dtype=torch.float64).dtype
    torch.normal(0., 1., (2,)).shape
    torch.normal(mean=torch.zeros(2), std=1.).shape
    torch.normal(0, 1, size=(2, 2)).shape
    torch.empty(2, 3).shape
    torch.empty((2, 3), dtype=torch.uint8).dtype
    torch.empty(0)
    torch.zeros_like(torch.ones(2), dtype=torch.int32)
    torch.zeros_like(torch.ones(2), requires_grad=True)
    torch.zeros_like(torch.ones(2), memory_format=torch.preserve_format)
    torch.full_like(torch.ones(2), 3)
    torch.rand_like(torch.ones(2)).shape
    torch.squeeze(torch.ones(1, 2, 1))
    torch.squeeze(torch.ones(1, 2, 1), 0)
    torch.squeeze(torch.ones(1, 2, 1), (0, 2))
    torch.squeeze(torch.ones(1, 2, 1), dim=-1)
    torch.unsqueeze(torch.ones(2), 0)
    torch.transpose(torch.ones(2, 3), 0, 1)
    torch.transpose(torch.ones(2, 3), dim0=0, dim1=1)
    torch.ones(2, 3).T, torch.ones(2, 3).mT
    torch.einsum('ij,jk->ik', torch.ones(2, 3), torch.ones(3, 2))
    torch.einsum('ij,jk->ik', [torch.ones(2, 3), torch.ones(3, 2)])
    torch.meshgrid(torch.arange(2), torch.arange(3), indexing='ij')
    torch.meshgrid([torch.arange(2), torch.arange(3)], indexing='xy')
    torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))
    torch.atleast_1d(torch.tensor(1)), torch.atleast_2d([torch.tensor(1)])
    torch.tensordot(torch.ones(2, 3), torch.ones(3, 2), dims=1)
    torch.tensordot(torch.ones(2, 3), torch.ones(3, 2), dims=([1], [0]))
    torch.norm(torch.tensor([3., 4.]))
    torch.norm(torch.tensor([3., 4.]), 1)
    torch.norm(torch.tensor([[3., 4.]]), dim=1, p=2, keepdim=True)
    torch.tensor([3., 4.]).norm()
    torch.tensor([[3., 4.]]).norm(2, 1)
    torch.unique(torch.tensor([3, 1, 3]))
    torch.unique(torch.tensor([3, 1, 3]), return_inverse=True, return_counts=True)
    torch.tensor([3, 1, 3]).unique(sorted=True, return_counts=True)
    torch.nonzero(torch.tensor([0, 1, 1]))
    torch.nonzero(torch.tensor([0, 1, 1]), as_tuple=True)
    torch.tensor([0, 1]).nonzero(as_tuple=True)
    torch.allclose(torch.ones(2), torch.ones(2))
    torch.equal(torch.ones(2), torch.ones(2))
    torch.is_tensor(torch.ones(1)), torch.is_tensor(1)
    torch.numel(torch.ones(2, 3))
    torch.result_type(torch.ones(2), 1), torch.promote_types(torch.int32, torch.float16), torch.can_cast(torch.float32, torch.int32)
    torch.gather(torch.arange(4).reshape(2, 2), 1, torch.tensor([[0], [1]]))
    torch.gather(torch.arange(4).reshape(2, 2), dim=1, index=torch.tensor([[0], [1]]))
    torch.zeros(2, 2).scatter_(1, torch.tensor([[0], [1]]), 5.)
    torch.zeros(2, 2).scatter_(1, torch.tensor([[0], [1]]), 5)
    torch.zeros(2, 2).scatter_(1, torch.tensor([[0], [1]]), torch.ones(2, 1))
    torch.zeros(2, 2).scatter_(1, torch.tensor([[0], [1]]), torch.ones(2, 1), reduce='add')
    torch.zeros(2).index_add_(0, torch.tensor([0, 0]), torch.ones(2))
    torch.zeros(2).index_add_(0, torch.tensor([0, 0]), torch.ones(2), alpha=2)
    torch.zeros(2).index_fill_(0, torch.tensor([0]), 2)
    torch.zeros(2).masked_fill_(torch.tensor([True, False]), 2)
    torch.zeros(2).masked_fill(torch.tensor([True, False]), torch.tensor(3))
    torch.zeros(2).masked_fill(mask=torch.tensor([True, False]), value=float('-inf'))
    torch.zeros(2).fill_(3), torch.zeros(2).fill_(torch.tensor(2))
    torch.zeros(2).addcmul_(torch.ones(2), torch.ones(2), value=2)
    torch.zeros(2).add_(1, alpha=3), torch.zeros(2).add_(torch.ones(2), alpha=3), torch.zeros(2).sub_(2)
    torch.zeros(2).add_(torch.ones(3))
    torch.zeros(2, dtype=torch.int64).add_(1.5)
    torch.zeros(2, dtype=torch.int64).add_(torch.tensor(1.5))
    torch.zeros(2, dtype=torch.int64).div_(2)
    torch.zeros(2).uniform_(0, 1).shape, torch.zeros(2).normal_(mean=0, std=1).shape
    torch.ones(2).to(torch.float64), torch.ones(2).to('cpu'), torch.ones(2).to('cpu', torch.int32), torch.ones(2).to(dtype=torch.int8), torch.ones(2).to(torch.zeros(1, dtype=torch.float16))
    x = torch.ones(2); x.to(torch.float32) is x, x.to(torch.float32, copy=True) is x, x.float() is x, x.cpu() is x, x.contiguous() is x
    torch.ones(2).to(foo=1)
    torch.ones(2).size(), torch.ones(2, 3).size(1), torch.ones(2, 3).size(-1), torch.ones(2, 3).size(dim=0), torch.ones(2, 3).shape[0]
    torch.ones(2).size('a')
    torch.ones(2, 3).stride(), torch.ones(2, 3).stride(0), torch.ones(2, 3).dim(), torch.ones(2, 3).numel(), torch.ones(2, 3).nelement(), torch.ones(2, 3).ndim
    torch.ones(2).exp(1)
    torch.ones(2).exp(foo=1)
    torch.exp(torch.ones(2), out=torch.empty(2))
    o = torch.empty(2); torch.exp(torch.ones(2), out=o) is o
    o = torch.empty(2); torch.exp(torch.ones(2), out=o); o
    o = torch.empty(0); torch.exp(torch.ones(2), out=o); o
    o = torch.empty(3); torch.exp(torch.ones(2), out=o); o
    o = torch.empty(2, dtype=torch.float64); torch.exp(torch.ones(2), out=o); o
    torch.exp(torch.ones(2), out=None)
    torch.ones(2).exp(out=torch.ones(2))
    o = torch.empty(2, 2).t(); torch.exp(torch.ones(2, 2), out=o); o
    o = torch.empty(4); torch.exp(torch.ones(2), out=o[::2]); o[::2]
    v, i = torch.empty(2), torch.empty(2, dtype=torch.int64); r = torch.max(torch.ones(2, 2), 1, out=(v, i)); v, i, r.values is v
    v, i = torch.empty(2), torch.empty(2, dtype=torch.int64); r = torch.sort(torch.tensor([2., 1.]), out=(v, i)); v, i
    torch.max(torch.ones(2, 2), 1, out=torch.ones(2))
    torch.add(torch.ones(2), 1, out=torch.empty(2))
    torch.matmul(torch.ones(2, 2), torch.ones(2, 2), out=torch.empty(2, 2))
    x = torch.ones(2); torch.add(x, 1, out=x); x
    torch.quantile(torch.arange(5.), 0.5), torch.quantile(torch.arange(5.), torch.tensor([0.25, 0.5]))
    torch.cumsum(torch.ones(3), 0), torch.cumsum(torch.ones(3), dim=0, dtype=torch.float64), torch.ones(3).cumsum(-1)
    torch.nn.functional.relu(torch.tensor([-1., 1.])), torch.nn.functional.softmax(torch.ones(2), dim=0), torch.nn.functional.softmax(torch.ones(2), 0)
    torch.nn.functional.pad(torch.ones(2), (1, 1)), torch.nn.functional.pad(torch.ones(2), [1, 1], value=2), torch.nn.functional.pad(torch.ones(2), (1, 1), 'constant', 5)
    torch.nn.functional.one_hot(torch.tensor([0, 1])), torch.nn.functional.one_hot(torch.tensor([0, 1]), 3)
    torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), stride=2), torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), None, (1, 1), 'same')
    torch.nn.functional.linear(torch.ones(2), torch.ones(3, 2)), torch.nn.functional.linear(torch.ones(2), torch.ones(3, 2), bias=torch.ones(3))
    torch.ones(2).item()
    torch.ones(1).item(), torch.tensor(True).item(), torch.tensor(3).item()
    torch.randn(3, 4).var(0, unbiased=False).shape, torch.randn(3, 4).std(dim=1, correction=0).shape, torch.var_mean(torch.ones(3), 0)
    torch.ones(3, 4).var(False), torch.ones(3, 4).std(True)
    torch.bincount(torch.tensor([0, 1, 1]), minlength=4), torch.histc(torch.ones(3), bins=2)
    torch.movedim(torch.ones(2, 3, 4), 0, 2).shape, torch.movedim(torch.ones(2, 3, 4), (0, 1), (1, 0)).shape
    torch.roll(torch.arange(4), 1), torch.roll(torch.arange(4).reshape(2, 2), (1, 1), (0, 1)), torch.rot90(torch.arange(4).reshape(2, 2))
    torch.ones(2).new_zeros(3).shape, torch.ones(4).unfold(0, 2, 1), torch.ones(2, 3).unflatten(1, (3, 1)).shape
    torch.ones(2, 3).type(torch.int32), torch.ones(2, 3).type_as(torch.ones(1, dtype=torch.float64))
    torch.ones(2, 3).argmax(), torch.ones(2, 3).argmax(1), torch.ones(2, 3).argmax(dim=1, keepdim=True), torch.argmax(torch.ones(2, 3), axis=0)
    torch.any(torch.tensor([True])), torch.all(torch.ones(2, 3) > 0, dim=1), torch.any(torch.ones(2, 3), 0, True)
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", ARGUMENTS)
def test_arguments(text):
    same(text)


# Operators, conversions to Python numbers, iteration, formatting, dtypes, devices, sizes.
OPERATORS = rows("""
    torch.tensor([-255], dtype=torch.uint8)
    torch.tensor([255.5], dtype=torch.uint8)
    x = torch.ones(2, dtype=torch.int32); x.requires_grad = True
    torch.ones(2) + 1
    1 + torch.ones(2)
    torch.ones(2) + 1.5
    torch.ones(2, dtype=torch.int64) + 1.5
    torch.ones(2, dtype=torch.int64) + True
    torch.ones(2, dtype=torch.bool) + True
    torch.ones(2) + torch.ones(2, dtype=torch.float64)
    torch.ones(2) + np.ones(2)
    torch.ones(2) * np.float64(2)
    np.float64(2) * torch.ones(2)
    np.float32(2) * torch.ones(2)
    np.int64(2) * torch.ones(2)
    np.int64(2) + torch.ones(2, dtype=torch.int32)
    torch.ones(2) - np.int64(2)
    np.float64(2) / torch.ones(2)
    np.float64(2) ** torch.ones(2)
    np.float64(2) < torch.ones(2)
    torch.ones(2) < np.float64(2)
    torch.ones(2) == np.ones(2)
    np.ones(2) == torch.ones(2)
    torch.ones(2, 2, dtype=torch.float64) @ np.ones((2, 2))
    torch.ones(2) + torch.ones(3)
    torch.ones(2) - 1
    1 - torch.ones(2)
    torch.ones(2) * 2
    2 * torch.ones(2)
    torch.ones(2) / 2
    1 / torch.ones(2)
    torch.ones(2, dtype=torch.int64) / 2
    1 / torch.tensor([0, 2])
    torch.tensor([7, -7]) // 2
    7 // torch.tensor([2, -2])
    torch.tensor([7., -7.]) // 2
    torch.tensor([7, -7]) % 3
    7 % torch.tensor([2, -4])
    torch.tensor([7., -7.]) % 3
    torch.tensor([2, 3]) ** 2
    2 ** torch.tensor([2, 3])
    torch.tensor([2., 3.]) ** 0.5
    torch.tensor([2, 3]) ** 0.5
    2.5 ** torch.tensor([2, 3])
    pow(torch.tensor([2, 3]), 2)
    torch.ones(2, 3) @ torch.ones(3)
    -torch.ones(2)
    +torch.ones(2)
    abs(torch.tensor([-1., 1.]))
    ~torch.tensor([True, False])
    ~torch.tensor([1, 2])
    torch.tensor([5, 3]) & 1
    5 & torch.tensor([5, 3])
    torch.tensor([True, False]) & torch.tensor([True, True])
    torch.tensor([True, False]) | False
    torch.tensor([True, False]) ^ True
    True & torch.tensor([True, False])
    torch.ones(2) & 1
    torch.tensor([1, 2]) << 2
    1 << torch.tensor([1, 2])
    torch.tensor([8, 16]) >> 2
    torch.tensor([1., 2.]) << 2
    torch.ones(2) == 1
    torch.ones(2) == None
    torch.ones(2) != None
    None == torch.ones(2)
    torch.ones(2) == 'a'
    torch.ones(2) != 'a'
    torch.ones(2) == [1, 2]
    [1, 2] == torch.ones(2)
    torch.ones(2) == (1, 2)
    torch.ones(2) == object()
    torch.ones(2) != {}
    torch.ones(2) == torch.ones(3)
    torch.ones(2) > torch.zeros(2)
    1 < torch.ones(2)
    1 >= torch.ones(2)
    torch.ones(2) == True
    torch.tensor([1, 2]) == 1.0
    torch.tensor([1, 2]) == np.array([1, 3])
    1 < torch.tensor(2) < 3
    1 in torch.tensor([1, 2])
    5 in torch.tensor([1, 2])
    torch.tensor(1) in torch.tensor([1, 2])
    torch.tensor([1, 2]) in torch.tensor([[1, 2], [3, 4]])
    1.5 in torch.tensor([1.5])
    len(torch.ones(3, 2)), len(torch.ones(0))
    list(torch.tensor([1, 2]))
    list(torch.ones(2, 2))
    list(torch.ones(0)), list(torch.ones(0, 2)), list(torch.ones(2, 0))
    [x for x in torch.arange(3)]
    a, b = torch.tensor([1, 2]); a, b
    a, b = torch.tensor([1, 2, 3])
    a, *b = torch.tensor([1, 2, 3]); a, b
    list(enumerate(torch.arange(2)))
    list(zip(torch.arange(2), torch.arange(2)))
    list(reversed(torch.arange(3)))
    reversed(torch.ones(2, 2))
    reversed(torch.tensor(1))
    sorted(torch.tensor([3, 1, 2]))
    max(torch.tensor([3, 1, 2])), min(torch.tensor([3, 1]))
    sum(torch.tensor([3, 1, 2]))
    sum([torch.ones(2), torch.ones(2)])
    any(torch.tensor([0, 1])), all(torch.tensor([0, 1]))
    bool(torch.tensor(1)), bool(torch.tensor([0.])), bool(torch.tensor([[True]])), bool(torch.tensor(float('nan')))
    not torch.tensor(0)
    if_ = 1 if torch.tensor(1.) > 0 else 2; if_
    int(torch.tensor(1.7)), int(torch.tensor(-1.7)), int(torch.tensor([3])), int(torch.tensor(True)), int(torch.tensor(2**62 + 1))
    int(torch.tensor(1e30))
    float(torch.tensor(1)), float(torch.tensor([1.5])), float(torch.tensor(True)), float(torch.tensor(0.1)), float(torch.tensor(0.1, dtype=torch.float16))
    complex(torch.tensor(1.5)), complex(torch.tensor([2]))
    range(torch.tensor(3))
    range(torch.tensor([3]))
    range(torch.tensor(True))
    [1, 2, 3][torch.tensor(1)]
    'ab' * torch.tensor(2)
    [0] * torch.tensor(2)
    __import__('operator').index(torch.tensor(3)), __import__('operator').index(torch.tensor([3]))
    hex(torch.tensor(255))
    math.floor(torch.tensor(1.5))
    math.sqrt(torch.tensor(4.))
    math.isnan(torch.tensor(float('nan')))
    f'{torch.tensor(1.234):.2f}', f'{torch.tensor(3):d}', f'{torch.tensor(3)}', f'{torch.tensor(True)}', f'{torch.tensor(0.5):.0%}', f'{torch.tensor(1.5):>8}'
    f'{torch.ones(2)}'
    f'{torch.ones(1, requires_grad=True)}', f'{torch.tensor(1., requires_grad=True):.1f}', f'{torch.tensor(1., requires_grad=True)}'
    '%d %.2f' % (torch.tensor(3), torch.tensor(1.5))
    '%s' % torch.tensor(3)
    str(torch.tensor(3)), repr(torch.tensor(3))
    x = torch.ones(2); y = x; y += 1; x is y, x
    x = torch.ones(2); y = x; y = y + 1; x
    x = torch.ones(2); x += torch.ones(2, 2)
    x = torch.ones(2, dtype=torch.int64); x += 1.5
    x = torch.ones(2, dtype=torch.int64); x /= 2
    x = torch.ones(2, dtype=torch.int64); x //= 2; x
    x = torch.ones(2); x -= 0.5; x *= 4; x /= 2; x **= 2; x %= 3; x
    x = torch.ones(2); x += np.float64(1); x
    x = torch.ones(2); x += 'a'
    x = torch.ones(2); x += None
    x = torch.tensor([5, 3]); x &= 1; x |= 2; x ^= 1; x <<= 1; x >>= 1; x
    x = torch.ones(2, 2); x @= x; x
    a = np.ones(2); a[0] = torch.tensor(3.); a
    x = 1; x += torch.ones(2); x
    x = [1]; x += torch.tensor([2, 3]); x
    np.array(torch.ones(2)), np.asarray(torch.ones(2)), np.array(torch.ones(2), dtype=np.int32), np.array([torch.tensor(1.), torch.tensor(2.)])
    np.exp(torch.zeros(2))
    np.add(torch.ones(2), 1)
    np.add(np.ones(2), torch.ones(2))
    np.concatenate([torch.ones(2), torch.ones(1)]), np.stack([torch.ones(2), torch.ones(2)])
    np.maximum(torch.ones(2), 2)
    np.isnan(torch.ones(2))
    np.testing.assert_allclose(torch.ones(2), np.ones(2))
    np.linalg.norm(torch.tensor([3., 4.]))
    torch.ones(2).__array__(), torch.ones(2).__array__(np.float64)
    np.dot(torch.ones(2), torch.ones(2))
    np.where(torch.tensor([True, False]), 1, 2)
    torch.tensor([1, 2]).__add__(1), torch.tensor([1, 2]).__radd__(1), torch.ones(1).__rsub__(3)
    torch.tensor([1, 2]).__eq__(1), torch.tensor([1, 2]).__lt__('a')
    torch.tensor([1, 2]).__and__(1), torch.Tensor.__add__(torch.ones(1), 1), torch.tensor(2).__index__(), torch.tensor(2.).__bool__()
    torch.tensor([1, 2]).__getitem__(0), torch.tensor([1, 2]).__len__(), torch.tensor(1).__format__('d')
    torch.tensor([1, 2]).__contains__(1)
    torch.tensor([1, 2]).__iadd__(1)
    (torch.ones(2) + 1) * 2 - torch.ones(2) / 2 ** 2
    -torch.ones(2) ** 2
    not (torch.ones(1) == 2)
    torch.ones(2) if torch.ones(1) else 0
    torch.tensor(1.) or 5, torch.tensor(0.) or 5
    dict([(torch.tensor(1).item(), 2)])
    hash(torch.ones(1)) == hash(torch.ones(1))
    x = torch.ones(1); hash(x) == hash(x), x in {x}, {x: 1}[x]
    x = torch.ones(1); [x].index(x), x in [x]
    x = torch.ones(2); x in [x]
    x, y = torch.ones(2), torch.ones(2); x is y, id(x) == id(y), (x == y).all()
    isinstance(torch.ones(1), torch.Tensor), isinstance(np.ones(1), torch.Tensor), issubclass(torch.nn.Parameter, torch.Tensor)
    type(torch.ones(1)).__name__, type(torch.ones(1).shape).__name__, type(torch.float32).__name__, type(torch.device('cpu')).__name__
    torch.float32 == torch.float, torch.float32 is torch.float, torch.float32 != torch.float64, torch.float32 in {torch.float32}
    torch.float32.is_floating_point, torch.int8.is_signed, torch.uint8.is_signed, torch.float16.itemsize, torch.bool.is_complex
    str(torch.float32), repr(torch.int64), f'{torch.bool}'
    torch.device('cpu'), str(torch.device('cpu')), torch.device('cpu') == torch.device('cpu'), torch.device('cpu') == 'cpu', torch.device('cpu', 0), torch.device('cuda:1'), torch.device('cuda', 1).index, torch.device(type='cuda', index=1)
    torch.device('bad')
    torch.device(3)
    torch.device(None)
    torch.device()
    torch.ones(2).device, torch.ones(2).dtype, torch.ones(2).layout, torch.ones(2).is_cuda, torch.ones(2).is_leaf, torch.ones(2).grad, torch.ones(2).requires_grad
    torch.Size([1, 2]) + (3,), torch.Size([1, 2])[0], torch.Size([1, 2])[:1], torch.Size([2, 3]).numel(), torch.Size((1,)) == (1,), len(torch.Size([])), torch.Size([1, 2]) * 2, (3,) + torch.Size([1])
    repr(torch.Size([1, 2])), str(torch.ones(2, 3).shape), hash(torch.Size([1])) == hash((1,)), torch.Size([1, 2]) == torch.Size([1, 2]), torch.Size(torch.tensor([1, 2]))
    h, w = torch.ones(2, 3).shape; h, w
    torch.ones(2, 3).shape == [2, 3]
    torch.ones(2, 3).shape == (2, 3), torch.ones(2).shape < (3,), tuple(torch.ones(2).shape), list(torch.ones(2).shape), max(torch.ones(2, 3).shape)
    torch.ones(2, 3).tolist(), torch.tensor(1).tolist(), torch.ones(0, 2).tolist(), torch.ones(2, 0).tolist(), torch.tensor([True]).tolist(), torch.tensor([1.5], dtype=torch.float16).tolist()
""")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", OPERATORS)
def test_operators(text):
    same(text)


# ---- lists as operands: wider than PyTorch, where Python gives the list no meaning of its own -----------------------------------------


def test_lists_are_operands():
    x = rushlight.tensor([1.0, 2.0, 3.0])
    for found, wanted in [
        (x + [1, 2, 3], [2, 4, 6]), ([1, 2, 3] + x, [2, 4, 6]), (x * (1, 2, 3), [1, 4, 9]), ([1, 2, 3] * x, [1, 4, 9]), (x - [1, 1, 1], [0, 1, 2]),
        ([3, 3, 3] - x, [2, 1, 0]), (x / [1, 2, 4], [1, 1, 0.75]), (x ** [2, 1, 0], [1, 2, 1]), (x > [1, 1, 5], [False, True, False]),
    ]:  # fmt: skip
        assert found.tolist() == wanted
    assert (x @ [1, 2, 3]).item() == 14
    x += [1, 1, 1]
    assert x.tolist() == [2, 3, 4]


def test_lists_keep_their_own_operators():
    assert [0] * rushlight.tensor(2) == [0, 0]
    assert (rushlight.ones(2) == [1, 1]) is False
    rows = [0]
    rows += rushlight.tensor([1, 2])
    assert [int(r) for r in rows] == [0, 1, 2]
    with pytest.raises(TypeError):
        rushlight.ones(2) + ["a", "b"]
