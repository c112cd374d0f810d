namespace StorySync.Samples.Studio;

/// <summary>The settings, from <c>--Studio:Folder</c> and so on, the environment, or <c>appsettings.json</c>.</summary>
public sealed class StudioOptions
{
    /// <summary>Gets or sets the folder of the projects.</summary>
    public string Folder { get; set; } =
        Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.MyDocuments), "StorySync Studio");

    /// <summary>Gets or sets the model, as AddStorySync takes it.</summary>
    public string Model { get; set; } = "storybook";

    /// <summary>Gets or sets the port on the loopback address; 0 for a free one.</summary>
    public int Port { get; set; } = 5080;
}
