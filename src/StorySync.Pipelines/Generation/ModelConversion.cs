using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Writes models in the folder layout of diffusers.</summary>
public static class ModelConversion
{
    /// <summary>The most bytes of tensors in a file of weights where nothing else is asked for, 10 GB, as in diffusers.</summary>
    public const long DefaultShardSize = 10_000_000_000;

    /// <summary>Writes a model of any form as a folder that diffusers and <see cref="DiffusionPipeline.Load"/> read. One tensor is in
    /// memory at a time. The folder appears whole, under its name, once it has been loaded from where it was written.</summary>
    /// <param name="model">The model, as in <see cref="DiffusionPipeline.Load"/>: a single file of SDXL or FLUX.1 (also in 8-bit floats or
    /// GGUF, which are decoded), or a folder.</param>
    /// <param name="folder">The folder to write; it must not exist, or be empty.</param>
    /// <param name="dtype">The type of all weights, float32, float16 or bfloat16; null for as they are stored, and bfloat16 where that is
    /// in 8 bits or fewer.</param>
    /// <param name="options">Where parts come from: <see cref="PipelineOptions.Vae"/>, <see cref="PipelineOptions.TextEncoder"/>,
    /// <see cref="PipelineOptions.TextEncoder2"/>, <see cref="PipelineOptions.Config"/> and <see cref="PipelineOptions.Variant"/>; the
    /// others have no effect. Null for the model's own.</param>
    /// <param name="shardSize">The most bytes of tensors in a file of weights; larger components have several files and an
    /// index.</param>
    /// <param name="progress">The provider that receives progress updates before each part of the model is written.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between tensors. No folder is left.</param>
    /// <exception cref="ArgumentException"><paramref name="dtype"/> is another type.</exception>
    /// <exception cref="ModelFileException">The model could not be found, is corrupt, or has an unsupported architecture.</exception>
    /// <exception cref="IOException">The folder has files in it, or cannot be written.</exception>
    /// <exception cref="OperationCanceledException">It was canceled.</exception>
    public static void ToFolder(
        string model, string folder, ScalarType? dtype = null, PipelineOptions? options = null, long shardSize = DefaultShardSize,
        IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentOutOfRangeException.ThrowIfLessThan(shardSize, 1);
        if (dtype is not (null or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16))
        {
            throw new ArgumentException($"The type is {dtype}; expected Float32, Float16 or BFloat16.", nameof(dtype));
        }

        options ??= new();
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (File.Exists(full) || (Directory.Exists(full) && Directory.EnumerateFileSystemEntries(full).Any()))
        {
            throw new IOException($"'{folder}' is there and not empty; give the name of a folder that is not there yet.");
        }

        var source = ModelFolder.Open(model, options.Config, options.Replacements);
        if (source.ClassName is null)
        {
            throw new ModelFileException(source.Path, "there is no model_index.json, so it is no whole model");
        }

        var temporary = $"{full}.{Path.GetRandomFileName()}";
        try
        {
            Write(source, Directory.CreateDirectory(temporary).FullName);
            if (Directory.Exists(full))
            {
                Directory.Delete(full);
            }

            Directory.Move(temporary, full);
        }
        catch
        {
            if (Directory.Exists(temporary))
            {
                Directory.Delete(temporary, recursive: true);
            }

            throw;
        }

        void Write(ModelFolder source, string target)
        {
            var writer = new FolderWriter(source, dtype, shardSize);
            writer.WriteIndex(target);
            foreach (var (written, part) in source.Components.Keys.Index())
            {
                cancellationToken.ThrowIfCancellationRequested();
                progress?.Report(new LoadProgress { Part = part, Loaded = written });
                writer.WriteComponent(part, target, options.Variant, cancellationToken);
            }

            // In the type of most weights loading takes no memory: they stay where they are in the files.
            using var check = DiffusionPipeline.Load(
                target, new PipelineOptions { Device = "cpu", Dtype = writer.MainType }, null, cancellationToken);
        }
    }
}
