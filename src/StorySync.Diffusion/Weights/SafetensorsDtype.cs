using System.Collections.Frozen;
using System.Text.Json.Serialization;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Specifies the element types of safetensors, under the names they have in a file, in the format's own order of
/// alignment.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<SafetensorsDtype>))]
public enum SafetensorsDtype
{
    /// <summary>Booleans, a byte each.</summary>
    BOOL,

    /// <summary>4-bit floats (listed, not read).</summary>
    F4,

    /// <summary>6-bit floats with 2 bits of exponent (listed, not read).</summary>
    F6_E2M3,

    /// <summary>6-bit floats with 3 bits of exponent (listed, not read).</summary>
    F6_E3M2,

    /// <summary>Unsigned bytes.</summary>
    U8,

    /// <summary>Signed bytes.</summary>
    I8,

    /// <summary>8-bit floats with 5 bits of exponent (read as float32).</summary>
    F8_E5M2,

    /// <summary>8-bit floats with 4 bits of exponent and no infinities (read as float32).</summary>
    F8_E4M3,

    /// <summary>8-bit powers of two (listed, not read).</summary>
    F8_E8M0,

    /// <summary>8-bit floats with 4 bits of exponent and no negative zero (listed, not read).</summary>
    F8_E4M3FNUZ,

    /// <summary>8-bit floats with 5 bits of exponent and no negative zero (listed, not read).</summary>
    F8_E5M2FNUZ,

    /// <summary>16-bit integers.</summary>
    I16,

    /// <summary>Unsigned 16-bit integers (listed, not read).</summary>
    U16,

    /// <summary>IEEE half precision.</summary>
    F16,

    /// <summary>The upper half of a single-precision float.</summary>
    BF16,

    /// <summary>32-bit integers.</summary>
    I32,

    /// <summary>Unsigned 32-bit integers (listed, not read).</summary>
    U32,

    /// <summary>IEEE single precision.</summary>
    F32,

    /// <summary>Complex numbers of two single-precision floats (listed, not read).</summary>
    C64,

    /// <summary>IEEE double precision.</summary>
    F64,

    /// <summary>64-bit integers.</summary>
    I64,

    /// <summary>Unsigned 64-bit integers (listed, not read).</summary>
    U64,
}

internal static class SafetensorsDtypes
{
    private static readonly FrozenDictionary<string, SafetensorsDtype> ByName =
        Enum.GetValues<SafetensorsDtype>().ToFrozenDictionary(dtype => dtype.ToString(), StringComparer.Ordinal);

    private static readonly FrozenDictionary<SafetensorsDtype, ScalarType> Readable = new Dictionary<SafetensorsDtype, ScalarType>
    {
        [SafetensorsDtype.BOOL] = ScalarType.Bool,
        [SafetensorsDtype.U8] = ScalarType.Byte,
        [SafetensorsDtype.I8] = ScalarType.Int8,
        [SafetensorsDtype.I16] = ScalarType.Int16,
        [SafetensorsDtype.F16] = ScalarType.Float16,
        [SafetensorsDtype.BF16] = ScalarType.BFloat16,
        [SafetensorsDtype.I32] = ScalarType.Int32,
        [SafetensorsDtype.F32] = ScalarType.Float32,
        [SafetensorsDtype.F64] = ScalarType.Float64,
        [SafetensorsDtype.I64] = ScalarType.Int64,
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<ScalarType, SafetensorsDtype> Writable =
        Readable.ToFrozenDictionary(pair => pair.Value, pair => pair.Key);

    public static string Names { get; } =
        string.Join(", ", Readable.Keys.Append(SafetensorsDtype.F8_E4M3).Append(SafetensorsDtype.F8_E5M2).Order());

    public static bool TryParse(string name, out SafetensorsDtype dtype) => ByName.TryGetValue(name, out dtype);

    /// <summary>Returns the type that TorchSharp has for it, or null.</summary>
    public static ScalarType? ToScalarType(this SafetensorsDtype dtype) => Readable.TryGetValue(dtype, out var type) ? type : null;

    /// <summary>Returns the format of elements that TorchSharp has no type for; null if it has one, or they cannot be read.</summary>
    public static BlockFormat? ToBlockFormat(this SafetensorsDtype dtype) => dtype switch
    {
        SafetensorsDtype.F8_E4M3 => BlockFormat.Float8E4M3,
        SafetensorsDtype.F8_E5M2 => BlockFormat.Float8E5M2,
        _ => null,
    };

    /// <summary>Returns whether tensors of the type can be read and hold floating-point values.</summary>
    public static bool IsReadableFloat(this SafetensorsDtype dtype) => dtype is SafetensorsDtype.F16 or SafetensorsDtype.BF16
        or SafetensorsDtype.F32 or SafetensorsDtype.F64 || dtype.ToBlockFormat() is not null;

    public static SafetensorsDtype? ToSafetensors(this ScalarType type) => Writable.TryGetValue(type, out var dtype) ? dtype : null;

    public static int Bits(this SafetensorsDtype dtype) => dtype switch
    {
        SafetensorsDtype.F4 => 4,
        SafetensorsDtype.F6_E2M3 or SafetensorsDtype.F6_E3M2 => 6,
        SafetensorsDtype.I16 or SafetensorsDtype.U16 or SafetensorsDtype.F16 or SafetensorsDtype.BF16 => 16,
        SafetensorsDtype.I32 or SafetensorsDtype.U32 or SafetensorsDtype.F32 => 32,
        SafetensorsDtype.C64 or SafetensorsDtype.F64 or SafetensorsDtype.I64 or SafetensorsDtype.U64 => 64,
        _ => 8,
    };
}
