using Microsoft.Extensions.Options;
using StorySync.Diffusion.Weights;

namespace StorySync.Extensions;

/// <summary>Finds what is wrong with a model's options before it is loaded: no weight is read.</summary>
internal sealed class StorySyncModelOptionsValidator : IValidateOptions<StorySyncModelOptions>
{
    public ValidateOptionsResult Validate(string? name, StorySyncModelOptions options)
    {
        var problems = new List<string>();
        if (string.IsNullOrEmpty(options.Model))
        {
            problems.Add("Model is empty; expected a folder, a single file, storybook, or organisation/name in the Hugging Face cache.");
        }
        else
        {
            Try(() => ModelFolder.Open(options.Model));
        }

        Try(() => options.ToPipelineOptions().ResolveDevice());
        if (options.MaxWaiting < 0)
        {
            problems.Add($"MaxWaiting is {options.MaxWaiting}; expected 0 or more.");
        }

        var model = string.IsNullOrEmpty(name) ? "StorySync's model" : $"StorySync's model '{name}'";
        return problems.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems.Select(p => $"{model}: {p}"));

        void Try(Action check)
        {
            try
            {
                check();
            }
            catch (Exception exception) when (exception is ArgumentException or ModelFileException)
            {
                problems.Add(exception.Message);
            }
        }
    }
}
