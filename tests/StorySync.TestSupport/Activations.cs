using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Hands every module's result to a comparison while a model runs, under the names of the reference:
/// <c>act.&lt;module path&gt;</c>, with <c>.0</c>, <c>.1</c> … for a module that gives several tensors.</summary>
public static class Activations
{
    /// <param name="comparison">The case.</param>
    /// <param name="model">The model.</param>
    /// <param name="prefix">Leads the names of the modules.</param>
    /// <param name="asReference">Puts a module's result into the form that the reference has it in; null leaves all as they are.</param>
    public static void Watch(
        Comparison comparison, nn.Module model, string prefix = "", Func<nn.Module, object?, object?>? asReference = null)
    {
        foreach (var (path, module) in model.named_modules())
        {
            var name = "act." + prefix + path;
            if (comparison.Case.Outputs.Any(o => o.Name == name || o.Name.StartsWith(name + ".", StringComparison.Ordinal)))
            {
                Hook(module, result => Check(comparison, name, asReference is null ? result : asReference(module, result)));
            }
        }
    }

    private static void Check(Comparison comparison, string name, object? result)
    {
        switch (result)
        {
            case Tensor tensor:
                comparison.Check(name, tensor);
                comparison.Check(name + ".0", tensor);
                break;
            case ITuple tuple:
                for (var i = 0; i < tuple.Length; i++)
                {
                    Check(comparison, $"{name}.{i}", tuple[i]);
                }

                break;
        }
    }

    private static void Hook(nn.Module module, Action<object?> observe)
    {
        for (var type = module.GetType(); type is not null; type = type.BaseType)
        {
            if (type.IsGenericType && type.BaseType is { IsGenericType: true } hookable
                && hookable.GetGenericTypeDefinition().Name.StartsWith("HookableModule", StringComparison.Ordinal))
            {
                var arguments = type.GetGenericArguments();
                typeof(Activations).GetMethod("Hook" + (arguments.Length - 1), BindingFlags.NonPublic | BindingFlags.Static)!
                    .MakeGenericMethod(arguments)
                    .Invoke(null, [module, observe]);
                return;
            }
        }
    }

    private static void Hook1<T1, TR>(nn.Module<T1, TR> module, Action<object?> observe) =>
        module.register_forward_hook((_, _, r) => Observed(r, observe));

    private static void Hook2<T1, T2, TR>(nn.Module<T1, T2, TR> module, Action<object?> observe) =>
        module.register_forward_hook((_, _, _, r) => Observed(r, observe));

    private static void Hook3<T1, T2, T3, TR>(nn.Module<T1, T2, T3, TR> module, Action<object?> observe) =>
        module.register_forward_hook((_, _, _, _, r) => Observed(r, observe));

    private static void Hook4<T1, T2, T3, T4, TR>(nn.Module<T1, T2, T3, T4, TR> module, Action<object?> observe) =>
        module.register_forward_hook((_, _, _, _, _, r) => Observed(r, observe));

    private static TR Observed<TR>(TR result, Action<object?> observe)
    {
        observe(result);
        return result;
    }
}
