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
        var model = build(folder.Config<TConfig>(component));
        using var weights = folder.OpenWeights(component, variant);
        bind(model, weights);
        return model;
    }
}
