using static TorchSharp.torch;

namespace StorySync.Diffusion.Denoising;

/// <summary>The blocks of a denoiser in one forward pass, in the parts between which a <see cref="BlockDriver"/> acts.</summary>
internal interface IBlockSequence
{
    /// <summary>Gets the hidden state: what goes into the block that comes next, in the end what came out of the last.</summary>
    Tensor Hidden { get; }

    /// <summary>Gets a value indicating whether <see cref="Middle"/> adds to the hidden state, as a transformer does, or replaces it, as a
    /// UNet does.</summary>
    bool IsResidual { get; }

    /// <summary>Gets a value indicating whether a step may leave <see cref="Middle"/> out.</summary>
    bool CanSkip { get; }

    /// <summary>Runs the first block, by whose result steps are told apart.</summary>
    void First();

    /// <summary>Runs the blocks that a step may leave out.</summary>
    void Middle();

    /// <summary>Runs the blocks after those, as every step does.</summary>
    void Last();

    /// <summary>Goes on as if <see cref="Middle"/> had led to <paramref name="hidden"/>.</summary>
    void Skip(Tensor hidden);
}
