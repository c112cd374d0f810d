using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>How every model comes out of a folder: its config is read, it is built without weights, and they are bound.</summary>
internal static class ModelLoading
{
    /// <summary>Loads a model whose weights all get one type, under the names that they are stored with.</summary>
    public static TModel Load<TConfig, TModel>(
        this ModelFolder folder, string component, Func<TConfig, TModel> build, ScalarType dtype, Device? device, string? variant)
        where TConfig : class
        where TModel : nn.Module =>
        folder.Load(component, build, variant, (model, weights) => WeightBinder.Bind(model, weights, dtype, device));

    /// <summary>Loads a model that binds its weights in a way of its own.</summary>
    public static TModel Load<TConfig, TModel>(
        this ModelFolder folder, string component, Func<TConfig, TModel> build, string? variant, Action<TModel, ITensorSource> bind)
        where TConfig : class
        where TModel : nn.Module
    {
        ArgumentNullException.ThrowIfNull(folder);
        var content = folder.ReadFile(component, "config.json");
        var path = content.Path;
        var config = ComponentConfig.Read<TConfig>(content);
        ThrowIfOfAnotherClass(content, typeof(TModel).Name);
        using var weights = folder.OpenWeights(component, variant);
        if (LayerCountAttribute.Problem(config, weights) is { } problem)
        {
            throw new ModelFileException(path, problem);
        }

        var model = Build(path, weights, () => build(config), model => bind(model, weights));
        folder.FilesInUse.AddRange((weights as IMappedTensorSource)?.FilesInUse ?? []);
        return model;
    }

    /// <summary>Builds a model and binds its weights. If one of the two fails, nothing of it is left.</summary>
    /// <param name="path">The file that says what to build, for messages.</param>
    /// <param name="weights">Where the weights come from.</param>
    /// <param name="build">Builds the model.</param>
    /// <param name="bind">Binds its weights.</param>
    /// <exception cref="ModelFileException">No model can be built, or the weights are not its own.</exception>
    public static TModel Build<TModel>(string path, ITensorSource weights, Func<TModel> build, Action<TModel> bind)
        where TModel : nn.Module
    {
        TModel? model = null;
        try
        {
            model = build();
            bind(model);
            return model;
        }
        catch (Exception exception)
        {
            model?.Dispose();
            foreach (var file in (weights as IMappedTensorSource)?.FilesInUse ?? [])
            {
                file.Dispose();
            }

            if (exception is ArgumentException or NotSupportedException or ArithmeticException or InvalidOperationException
                or IndexOutOfRangeException or ExternalException)
            {
                throw new ModelFileException(path, $"no model can be built from it: {FirstLine(exception)}", exception);
            }

            throw;
        }
    }

    /// <summary>diffusers' configs name the class that wrote them.</summary>
    private static void ThrowIfOfAnotherClass(FileContent file, string expected)
    {
        var name = JsonFile.Read(file, root => root.TryGetProperty("_class_name", out var value) ? value.ToString() : null);
        if (!string.IsNullOrEmpty(name) && name != expected)
        {
            throw new ModelFileException(file.Path, $"'_class_name' is {name}, which is not supported here; expected {expected}");
        }
    }

    /// <summary>The message without what speaks of C# or of libtorch's stack.</summary>
    private static string FirstLine(Exception exception)
    {
        var line = exception.Message.Split('\n')[0].TrimEnd('\r', '.');
        return exception is ArgumentException { ParamName: { } name } ? line.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
            : line;
    }
}
