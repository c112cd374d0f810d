using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Evaluation;

/// <summary>Embeds images and texts as vectors that the measures compare, with any CLIP model.</summary>
/// <remarks>Figures of different models cannot be compared with each other: say which model a figure comes from.</remarks>
public sealed class ClipEvaluator : IDisposable
{
    private const string ConfigFile = "config.json", ProcessorFile = "preprocessor_config.json";

    private readonly CLIPModel model;
    private readonly PromptTokenizer tokenizer;
    private readonly CLIPImageProcessor processor;
    private readonly Device device;
    private volatile bool isDisposed;

    private ClipEvaluator(ModelFolder folder, string component, Device device)
    {
        this.device = device;
        model = CLIPModel.Load(folder, component, device: device);
        try
        {
            var path = folder.ComponentPath(component);
            tokenizer = PromptTokenizer.Load(TokenizerOf(path));
            processor = File.Exists(Path.Combine(path, ProcessorFile))
                ? CLIPImageProcessor.Load(folder, component)
                : new CLIPImageProcessor { Size = model.Config.VisionConfig.ImageSize, CropSize = model.Config.VisionConfig.ImageSize };
            CheckParts(path);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Loads a CLIP model.</summary>
    /// <param name="model">A folder of transformers' <c>CLIPModel</c> (for example of <c>openai/clip-vit-large-patch14</c>), its name in
    /// the Hugging Face cache, or a pipeline's folder that has one in <c>clip/</c>. By default the embedded one. Its tokenizer is in the
    /// same folder, in <c>tokenizer/</c> there, or in <c>tokenizer_2/</c> or <c>tokenizer/</c> next to it. Without a
    /// <c>preprocessor_config.json</c>, images are prepared as CLIP's are, at the size that the model takes.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    public static ClipEvaluator Load(string model = "storybook", Device? device = null)
    {
        var folder = ModelFolder.Open(model);
        return new ClipEvaluator(folder, folder.Has("clip") ? "clip" : "", device ?? CPU);
    }

    /// <summary>Returns the vectors of images, <c>projection_dim</c> numbers each, not normalized.</summary>
    /// <param name="images">The images.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    public IReadOnlyList<float[]> EmbedImages(IReadOnlyList<RgbImage> images, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        ObjectDisposedException.ThrowIf(isDisposed, this);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        return images.Count == 0 ? [] : Rows(model.GetImageFeatures(Pixels(images), cancellationToken));
    }

    /// <summary>Returns the vectors of texts, <c>projection_dim</c> numbers each, not normalized. What does not fit into the model is cut
    /// off.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    public IReadOnlyList<float[]> EmbedTexts(IReadOnlyList<string> texts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ObjectDisposedException.ThrowIf(isDisposed, this);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var length = model.Config.TextConfig.MaxPositionEmbeddings;
        long[] ids = [.. texts.SelectMany(text => tokenizer.EncodePadded(text, length).Ids)];
        return texts.Count == 0 ? [] : Rows(model.GetTextFeatures(tensor(ids, [texts.Count, length], device: device), cancellationToken));
    }

    /// <summary>Returns what the image tower makes of each patch of images.</summary>
    /// <param name="images">The images.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    public IReadOnlyList<PatchGrid> EmbedPatches(IReadOnlyList<RgbImage> images, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(images);
        ObjectDisposedException.ThrowIf(isDisposed, this);
        if (images.Count == 0)
        {
            return [];
        }

        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var patches = model.GetImagePatches(Pixels(images), cancellationToken);
        var (rows, columns) = ((int)patches.shape[1], (int)patches.shape[2]);
        return [.. Enumerable.Range(0, images.Count).Select(i => new PatchGrid(columns, rows, Rows(patches[i].flatten(0, 1))))];
    }

    /// <summary>Waits for what other threads have computed, and releases the model; afterwards every member throws
    /// <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        isDisposed = true;
        model.Dispose();
    }

    /// <exception cref="ModelFileException">Parts do not fit each other.</exception>
    private void CheckParts(string path)
    {
        var (text, vision) = (model.Config.TextConfig, model.Config.VisionConfig);
        if (tokenizer.VocabularySize > text.VocabSize || text.MaxPositionEmbeddings < 2)
        {
            throw new ModelFileException(
                Path.Combine(path, ConfigFile),
                $"'vocab_size' of text_config is {text.VocabSize} and 'max_position_embeddings' {text.MaxPositionEmbeddings}; the "
                    + $"tokenizer has {tokenizer.VocabularySize} ids, and a text has at least 2 tokens");
        }

        if (vision.NumChannels != 3)
        {
            throw new ModelFileException(
                Path.Combine(path, ConfigFile), $"'num_channels' of vision_config is {vision.NumChannels}; images have 3");
        }

        var size = processor.DoCenterCrop ? processor.CropSize
            : processor is { DoResize: true, Size.ShortestEdge: null } ? processor.Size : null;
        var (height, width) = (size?.Height ?? size?.ShortestEdge, size?.Width ?? size?.ShortestEdge);
        if (height != vision.ImageSize || width != vision.ImageSize)
        {
            throw new ModelFileException(
                Path.Combine(path, ProcessorFile),
                (size is null ? "images keep their proportions" : $"images become {width} × {height}")
                    + $"; the image encoder takes {vision.ImageSize} × {vision.ImageSize} ('image_size'): correct "
                    + $"{(processor.DoCenterCrop ? "'crop_size'" : "'do_center_crop'")}");
        }
    }

    private Tensor Pixels(IReadOnlyList<RgbImage> images) =>
        cat([.. images.Select(image => processor.Preprocess(image.Pixels, image.Height, image.Width))]).to(device);

    private static float[][] Rows(Tensor matrix)
    {
        var values = matrix.to(float32).cpu().contiguous().data<float>().ToArray();
        return [.. values.Chunk((int)matrix.shape[1])];
    }

    private static string TokenizerOf(string folder)
    {
        string[] places = ["", "tokenizer", "../tokenizer_2", "../tokenizer"];
        return places.Select(place => Path.GetFullPath(Path.Combine(folder, place)))
            .FirstOrDefault(place => File.Exists(Path.Combine(place, "tokenizer.json")) || File.Exists(Path.Combine(place, "vocab.json")))
            ?? throw new ModelFileException(folder,
                "there is no tokenizer; expected tokenizer.json, or vocab.json with merges.txt, here, in "
                + "tokenizer/, or in tokenizer_2/ or tokenizer/ next to it");
    }
}
