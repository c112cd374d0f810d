using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Diffusion.Tests.Weights;

public class PythonFileTests
{
    [Theory]
    [InlineData("tiny-sdxl", "unet")]
    [InlineData("tiny-flux", "text_encoder_2")]
    [InlineData("tiny-clip", "")]
    public void Files_of_the_Python_writer_are_read_and_written_again_byte_by_byte(string model, string component)
    {
        var folder = ModelFolder.Open(ReferenceData.PathOf("models/" + model));
        using var scope = torch.NewDisposeScope();
        using var weights = (SafetensorsFile)folder.OpenWeights(component);
        using var temporary = new TemporaryFolder();
        var copy = temporary.PathOf("copy.safetensors");
        SafetensorsWriter.Write(copy, weights.Tensors.Values, weights.Read, weights.Metadata);
        Assert.Equal(File.ReadAllBytes(weights.Path), File.ReadAllBytes(copy));
    }
}
