using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

public class TextEncoderParityTests
{
    public static TheoryData<string> Encoders() => ReferenceData.CaseNames(c => c.Group == "text");

    public static TheoryData<string> AttentionLayers() =>
        ReferenceData.CaseNames(c => c.Group == "attention" && c.Call.StartsWith("transformers ", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Encoders))]
    public void Text_encoder_is_that_of_transformers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        switch (comparison.Case.Call.Split('.', '(')[1])
        {
            case nameof(CLIPTextModel):
                Compare<CLIPTextModel>(comparison, config => new CLIPTextModel(config));
                break;
            case nameof(CLIPTextModelWithProjection):
                Compare<CLIPTextModelWithProjection>(comparison, config => new CLIPTextModelWithProjection(config));
                break;
            case nameof(T5EncoderModel):
                CompareT5(comparison);
                break;
            default:
                Assert.Fail($"{name} is of a kind these tests do not know: {comparison.Case.Call}.");
                break;
        }

        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(AttentionLayers))]
    public void Attention_layer_is_that_of_transformers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var hidden = comparison.Input("hidden_states");
        var path = comparison.Case.Params.GetProperty("module").GetString()!;
        if (comparison.Case.Call.Contains("CLIPAttention", StringComparison.Ordinal))
        {
            using var model = CLIPTextModelWithProjection.Load(ModelFolder.Open(comparison.Case.ModelPath), component: "");
            comparison.Check("out.output.0", Find<CLIPAttention>(model, path).call(hidden));
        }
        else
        {
            using var model = T5EncoderModel.Load(ModelFolder.Open(comparison.Case.ModelPath), component: "");
            var layer = Find<T5Attention>(model, path);
            var bias = comparison.OptionalInput("position_bias") ?? layer.ComputeBias(hidden.shape[1]);
            var masked = comparison.OptionalInput("mask") is { } mask ? bias.masked_fill(mask.eq(0), float.NegativeInfinity) : bias;
            comparison.Check("out.output.0", layer.call(hidden, masked));
            comparison.Check("out.output.1", bias);
        }

        comparison.AssertAll();
    }

    private static void Compare<TModel>(Comparison comparison, Func<CLIPTextConfig, TModel> build)
        where TModel : nn.Module<Tensor, CancellationToken, CLIPTextOutput>
    {
        var folder = ModelFolder.Open(comparison.Case.ModelPath);
        var config = folder.Config<CLIPTextConfig>("");
        if (comparison.Case.Params.TryGetProperty("eos_token_id", out var eos))
        {
            config = config with { EosTokenId = eos.GetInt64() };
        }

        using var model = build(config);
        using var weights = folder.OpenWeights("");
        CLIPCheckpoint.Bind(model, weights, ScalarType.Float32, CPU);
        Activations.Watch(comparison, model);
        var output = model.call(comparison.Input("input_ids"), CancellationToken.None);

        foreach (var (index, state) in output.HiddenStates.Index())
        {
            comparison.Check($"out.hidden_states.{index}", state);
        }

        comparison.Check("out.last_hidden_state", output.LastHiddenState);
        comparison.Check("out.pooler_output", output.PoolerOutput);
        if (output.TextEmbeds is { } embeds)
        {
            comparison.Check("out.text_embeds", embeds);
        }
    }

    private static void CompareT5(Comparison comparison)
    {
        using var model = T5EncoderModel.Load(ModelFolder.Open(comparison.Case.ModelPath), component: "");
        Activations.Watch(comparison, model);
        var ids = comparison.Input("input_ids");

        comparison.Check("out.last_hidden_state", model.call(ids, comparison.OptionalInput("attention_mask"), CancellationToken.None));
        comparison.Check("out.position_bias", Find<T5Attention>(model, "encoder.block.0.layer.0.SelfAttention").ComputeBias(ids.shape[1]));
    }

    private static T Find<T>(nn.Module model, string path)
        where T : nn.Module => (T)model.named_modules().Single(m => m.name == path).module;
}
