using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What has to be as it was when a bank was made, for scenes to be drawn with it.</summary>
internal static class BankRules
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>What may be another for each scene, or changes no number.</summary>
    private static readonly HashSet<string> Free =
    [
        nameof(GenerationRequest.Prompts), nameof(GenerationRequest.NegativePrompts), nameof(GenerationRequest.Images),
        nameof(GenerationRequest.Seed), nameof(GenerationRequest.Seeds), nameof(GenerationRequest.PreviewInterval),
        nameof(GenerationRequest.Scheduler), nameof(StableDiffusionXLRequest.Prompts2), nameof(StableDiffusionXLRequest.NegativePrompts2),
        "$type",
    ];

    /// <summary>Refuses settings with which an image depends on what it is generated with.</summary>
    /// <exception cref="ArgumentException">There is one.</exception>
    public static void CheckIndependence(GenerationRequest request)
    {
        const string Reason = "where scenes read anchors, a scene must not depend on the batch that it is drawn in";
        RequestRules.Require(
            request.BlockCacheThreshold == 0,
            $"BlockCacheThreshold is {request.BlockCacheThreshold}, and a cache decides by all images of a batch; {Reason}. Leave it "
                + "at 0.");
        RequestRules.Require(
            request is not Kandinsky3Request { CutsToLongestPrompt: true }, $"CutsToLongestPrompt is true; {Reason}. Leave it at false.");
        RequestRules.Require(
            request.Latents is null, $"Request has Latents; {Reason}. Give scenes their seeds by Scene.Seed.");
        RequestRules.Require(
            request.Mask is null, "Request has a Mask; anchors, and scenes that read them, cannot be painted into images.");
    }

    /// <summary>Refuses keys of a type that none are kept in.</summary>
    /// <exception cref="ArgumentException">The type is none, or there are no keys.</exception>
    public static void CheckForm(StoryOptions options)
    {
        RequestRules.Require(
            options.BankKeysDtype is null || options.BankForm == StoryBankForm.Keys,
            $"BankKeysDtype is {options.BankKeysDtype}, and the bank keeps no keys; set BankForm to Keys, or leave it out.");
        RequestRules.Require(
            options.BankKeysDtype is null or ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16,
            $"BankKeysDtype is {options.BankKeysDtype}; it must be Float32, BFloat16 or Float16.");
    }

    /// <summary>Returns the options with which a bank's scenes are drawn: the bank's, with what may differ.</summary>
    /// <param name="bank">The bank.</param>
    /// <param name="options">What was asked for.</param>
    /// <param name="pipeline">What is to draw.</param>
    /// <exception cref="ArgumentException">Something differs that must not; the message names it.</exception>
    public static StoryOptions Settle(StoryBank bank, StoryOptions options, DiffusionPipeline pipeline)
    {
        var card = bank.Card;
        Same("pipeline", card.Pipeline, pipeline.GetType().Name);
        Same("model", card.Model, pipeline.Identity);
        Same("Dtype", card.Dtype, pipeline.Options.Dtype.ToString());
        Same("LoRAs", Text(card.Loras), Text(pipeline.LoraIdentities));
        if (options.Techniques?.Over(pipeline.DefaultTechniques) is { } techniques)
        {
            SameMembers("Techniques.", Json(card.Techniques), Json(techniques), new JsonObject());
        }

        RequestRules.Require(
            options.Anchors is null, "Anchors is set; it is for GenerateStory, and a bank has its anchors already. Leave it out.");
        RequestRules.Require(
            options is { BankForm: null, BankKeysDtype: null },
            $"BankForm and BankKeysDtype are for making a bank, and this one has the form {card.Form} already. Leave them out.");
        var asked = options.Request is { Preset: not null } named ? pipeline.WithPreset(named) : options.Request ?? new();
        if (options.Request is not null)
        {
            CheckIndependence(asked);
            SameMembers("", Json(card.Request), Json(asked), Json((GenerationRequest)Activator.CreateInstance(asked.GetType())!));
            Same("Scheduler", Text(card.Request.Scheduler!.Instance!), asked.Scheduler is { } scheduler
                ? Text(scheduler.On(pipeline.Scheduler)) : Text(card.Request.Scheduler.Instance!));
            RequestRules.Require(
                asked.GetType() == typeof(GenerationRequest) || card.Request.GetType() == typeof(GenerationRequest)
                    || asked.GetType() == card.Request.GetType(),
                $"The request is a {asked.GetType().Name}, the bank's a {card.Request.GetType().Name}.");
        }

        return options with
        {
            Techniques = card.Techniques,
            Request = Own(card, asked) with
            {
                NegativePrompts = Texts("NegativePrompts", card.Request.NegativePrompts, asked.NegativePrompts),
                Images = asked.Images,
                Strength = card.Request.Strength,
                Seed = asked.Seed ?? card.Request.Seed,
                PreviewInterval = asked.PreviewInterval,
                OnStep = asked.OnStep,
                AttentionProcessor = asked.AttentionProcessor,
            },
        };
    }

    /// <summary>Refuses scenes that begin other than the anchors, or have other steps.</summary>
    /// <exception cref="ArgumentException">They do, or have.</exception>
    public static void CheckPlan(StoryBankCard bank, StoryBankCard scenes)
    {
        Same("Timesteps", Text(bank.Timesteps), Text(scenes.Timesteps));
        Same("Sigmas", Text(bank.Sigmas), Text(scenes.Sigmas));
    }

    private static GenerationRequest Own(StoryBankCard card, GenerationRequest asked)
    {
        RequestRules.Require(
            (card.Request.Strength is null) == (asked.Images is null),
            asked.Images is null
                ? $"The bank's anchors were made from images (Strength {card.Request.Strength}), so its scenes begin from images too: give "
                    + "Request.Images."
                : "Request has Images, but the bank's anchors began from noise; leave them out.");
        return (card.Request, asked) switch
        {
            (StableDiffusionXLRequest own, _) when asked.Own<StableDiffusionXLRequest>() is var lists => own with
            {
                Prompts2 = Texts("Prompts2", own.Prompts2, lists.Prompts2),
                NegativePrompts2 = Texts("NegativePrompts2", own.NegativePrompts2, lists.NegativePrompts2),
            },
            (FluxRequest own, _) when asked.Own<FluxRequest>() is var lists => own with
            {
                Prompts2 = Texts("Prompts2", own.Prompts2, lists.Prompts2),
                NegativePrompts2 = Texts("NegativePrompts2", own.NegativePrompts2, lists.NegativePrompts2),
            },
            _ => card.Request,
        };
    }

    private static IReadOnlyList<string>? Texts(string name, IReadOnlyList<string>? bank, IReadOnlyList<string>? asked)
    {
        RequestRules.Require(
            bank is not null || asked is null, $"Request has {name}, and the bank's anchors were made without; leave them out.");
        RequestRules.Require(
            bank is null or [_] || asked is not null,
            $"The bank's anchors have {name} of their own, one each: give the scenes theirs in Request.{name}.");
        return asked ?? bank;
    }

    private static void SameMembers(string path, JsonObject bank, JsonObject asked, JsonObject defaults)
    {
        foreach (var (name, value) in asked)
        {
            // A null leaves a member to the bank.
            if (value is null || (path.Length == 0 && Free.Contains(name)))
            {
                continue;
            }

            var kept = bank.ContainsKey(name) ? bank[name] : defaults[name];
            if (value is JsonObject inner && kept is JsonObject innerKept)
            {
                SameMembers($"{path}{name}.", innerKept, inner, new JsonObject());
                continue;
            }

            RequestRules.Require(JsonNode.DeepEquals(value, kept), Difference(path + name, kept?.ToJsonString(), value.ToJsonString()));
        }
    }

    private static void Same(string name, string bank, string asked) => RequestRules.Require(bank == asked, Difference(name, bank, asked));

    private static string Difference(string name, string? bank, string asked) =>
        $"The bank was made with {name} {Short(bank ?? "none")}, and scenes of it must be drawn with the same; here it is {Short(asked)}.";

    private static string Short(string text) => text.Length <= 200 ? text : $"{text[..200]}…";

    private static JsonObject Json<T>(T value) => JsonSerializer.SerializeToNode(value)!.AsObject();

    private static string Text(Diffusion.Schedulers.Scheduler scheduler) => scheduler.ToConfig().GetRawText();

    private static string Text<T>(IReadOnlyList<T> list) => list.Count == 0 ? "none" : JsonSerializer.Serialize(list, Readable);
}
