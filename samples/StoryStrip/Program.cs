using StorySync.Samples;
using StorySync.Samples.StoryStrip;

return await CommandLine.InvokeAsync(StoryCommand.Create(), args, Console.Out, Console.Error);
