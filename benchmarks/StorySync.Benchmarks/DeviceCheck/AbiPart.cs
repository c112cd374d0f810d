using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>Whether TorchSharp reads the libtorch that was loaded rightly: one that does not fit can give wrong types and numbers
/// without an error.</summary>
internal static class AbiPart
{
    private static readonly ScalarType[] Types =
    [
        ScalarType.Byte, ScalarType.Int8, ScalarType.Int16, ScalarType.Int32, ScalarType.Int64, ScalarType.Float16, ScalarType.Float32,
            ScalarType.Float64,
        ScalarType.Bool, ScalarType.BFloat16,
    ];

    public static void Run(DeviceCheckRun run)
    {
        run.Row("devices", () =>
            run.OnCuda ? $"cuda {cuda.is_available()}, {cuda.device_count()} devices, cudnn {cuda.is_cudnn_available()}" : "the CPU");
        foreach (var device in run.OnCuda && cuda.is_available() ? (Device[])[CPU, run.Device] : [CPU])
        {
            run.Row($"types on {device}", () =>
            {
                foreach (var type in Types)
                {
                    var made = zeros([2, 3], dtype: type, device: device);
                    Require(made.dtype == type && made.device_type == device.type && made.shape is [2, 3]
                        && made.stride() is [3, 1], $"{type} is {made.dtype}");
                    Numbers(arange(4, ScalarType.Float32, device).remainder(2).to(type), [0, 1, 0, 1], 0, $"{type}");
                }

                return $"{Types.Length} types";
            });
            run.Row($"numbers on {device}", () =>
            {
                Require(tensor(1.5f, device: device).item<float>() == 1.5f && tensor(7L, device: device).item<long>() == 7, "scalars");
                var view = arange(24, ScalarType.Int64, device).reshape(2, 3, 4).permute(2, 0, 1).narrow(0, 1, 2).select(1, 1);
                Numbers(view, [13, 17, 21, 14, 18, 22], 0, "views");
                Numbers(arange(6, ScalarType.Float32, device).view(2, 3).matmul(arange(6, ScalarType.Float32, device).view(3, 2)),
                    [10, 13, 28, 40], 1e-4, "matmul");
                Numbers(nn.functional.conv2d(ones([1, 1, 3, 3], device: device), ones([1, 1, 3, 3], device: device), null, [1, 1], [1, 1]),
                    [4, 6, 4, 6, 9, 6, 4, 6, 4], 1e-4, "conv2d");
                var alike = ones([1, 1, 2, 8], device: device, dtype: ScalarType.Float16);
                Numbers(nn.functional.scaled_dot_product_attention(alike, alike, arange(16, ScalarType.Float16, device).view(1, 1, 2, 8)),
                    [4, 5, 6, 7, 8, 9, 10, 11, 4, 5, 6, 7, 8, 9, 10, 11], 2e-2, "attention");
                return "scalars, views, matmul, conv2d, attention";
            });
            run.Row($"errors on {device}", () =>
            {
                try
                {
                    nn.functional.conv2d(ones([1, 3, 4, 4], device: device), ones([2, 4, 3, 3], device: device)).Dispose();
                }
                catch (ExternalException error) when (error.Message.Contains("channels", StringComparison.Ordinal))
                {
                    return "become exceptions";
                }

                throw new InvalidOperationException("A wrong shape gave no exception.");
            });
        }
    }

    private static void Numbers(Tensor actual, float[] expected, double tolerance, string what)
    {
        float[] got = [.. actual.to(ScalarType.Float32).contiguous().cpu().data<float>()];
        Require(
            got.Length == expected.Length && got.Zip(expected, (a, b) => Math.Abs(a - b)).Max() <= tolerance,
            $"{what}: {string.Join(' ', got)} for {string.Join(' ', expected)}");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidOperationException(what);
        }
    }
}
