using System.Collections.Frozen;
using System.Reflection;
using System.Reflection.Emit;

namespace StorySync.Repository.Tests;

/// <summary>Which methods a method calls or takes the address of, read from its IL.</summary>
internal static class Calls
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance
        | BindingFlags.DeclaredOnly;

    private static readonly FrozenDictionary<short, OpCode> Codes = typeof(OpCodes).GetFields()
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToFrozenDictionary(code => code.Value);

    /// <summary>Everything in an assembly that can have IL, accessors, constructors and what the compiler makes of lambdas too.</summary>
    public static IEnumerable<MethodBase> MethodsOf(Assembly assembly) => assembly.GetTypes()
        .SelectMany(type => type.GetMethods(Declared).Concat<MethodBase>(type.GetConstructors(Declared)));

    /// <summary>The methods that stand in a method's IL, generic ones as their definitions.</summary>
    public static IEnumerable<MethodBase> From(MethodBase method)
    {
        var il = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        for (var at = 0; at < il.Length;)
        {
            var code = il[at] == 0xFE ? Codes[(short)(0xFE00 | il[at + 1])] : Codes[il[at]];
            at += code.Size;
            if (code.OperandType is OperandType.InlineMethod or OperandType.InlineTok
                && Resolve(method, BitConverter.ToInt32(il, at)) is MethodBase called)
            {
                yield return called;
            }

            at += code.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(il, at)),
                _ => 4,
            };
        }
    }

    private static MemberInfo? Resolve(MethodBase method, int token)
    {
        var member = method.Module.ResolveMember(
            token,
            method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null,
            method.IsGenericMethod ? method.GetGenericArguments() : null);
        return member is MethodBase { DeclaringType.IsArray: false } called ? called.Module.ResolveMethod(called.MetadataToken) : member;
    }
}
