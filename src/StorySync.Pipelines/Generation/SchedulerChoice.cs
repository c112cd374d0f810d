using System.Text.Json;
using System.Text.Json.Serialization;
using StorySync.Diffusion.Schedulers;

namespace StorySync.Pipelines;

/// <summary>Represents the choice of a scheduler: one by its class in diffusers, with the noise levels of the model's own, or one as it is.
/// A text and a <see cref="StorySync.Diffusion.Schedulers.Scheduler"/> convert to it.</summary>
[JsonConverter(typeof(SchedulerChoiceJsonConverter))]
public sealed class SchedulerChoice
{
    /// <summary>Initializes a new instance of the <see cref="SchedulerChoice"/> class by a name.</summary>
    /// <param name="className">The class in diffusers, <c>DPMSolverMultistepScheduler</c> for example.</param>
    /// <exception cref="ArgumentException">There is no such class here.</exception>
    public SchedulerChoice(string className)
    {
        ArgumentNullException.ThrowIfNull(className);
        ClassName = Scheduler.ClassNames.Contains(className)
            ? className
            : throw new ArgumentException($"The scheduler is '{className}'; it must be one of {string.Join(", ", Scheduler.ClassNames)}.");
    }

    /// <summary>Initializes a new instance of the <see cref="SchedulerChoice"/> class by a scheduler.</summary>
    /// <param name="scheduler">The scheduler.</param>
    public SchedulerChoice(Scheduler scheduler)
    {
        ArgumentNullException.ThrowIfNull(scheduler);
        (ClassName, Instance) = (scheduler.GetType().Name, scheduler);
    }

    /// <summary>Gets the class in diffusers.</summary>
    public string ClassName { get; }

    /// <summary>Gets the scheduler; null if it is to be made from the model's own.</summary>
    public Scheduler? Instance { get; }

    /// <summary>Returns the choice of a class.</summary>
    /// <param name="className">The class in diffusers.</param>
    public static implicit operator SchedulerChoice(string className) => new(className);

    /// <summary>Returns the choice of a scheduler.</summary>
    /// <param name="scheduler">The scheduler.</param>
    public static implicit operator SchedulerChoice(Scheduler scheduler) => new(scheduler);

    /// <inheritdoc/>
    public override string ToString() => ClassName;

    /// <summary>Returns the scheduler that is meant.</summary>
    /// <param name="own">The model's own, whose noise levels one by name takes over.</param>
    internal Scheduler On(Scheduler own) => Instance ?? Scheduler.From(ClassName, own);

    /// <summary>A choice in JSON is the class's name, or the entries of a <c>scheduler_config.json</c>.</summary>
    private sealed class SchedulerChoiceJsonConverter : JsonConverter<SchedulerChoice>
    {
        public override SchedulerChoice Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            try
            {
                return reader.TokenType == JsonTokenType.String
                    ? new SchedulerChoice(reader.GetString()!)
                    : new SchedulerChoice(Scheduler.FromConfig(JsonElement.ParseValue(ref reader)));
            }
            catch (Exception exception) when (exception is ArgumentException or StorySync.Diffusion.Weights.ModelFileException)
            {
                throw new JsonException(exception.Message, exception);
            }
        }

        public override void Write(Utf8JsonWriter writer, SchedulerChoice value, JsonSerializerOptions options)
        {
            if (value.Instance is null)
            {
                writer.WriteStringValue(value.ClassName);
            }
            else
            {
                value.Instance.ToConfig().WriteTo(writer);
            }
        }
    }
}
