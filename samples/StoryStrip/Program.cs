using StorySync.Samples;
using StorySync.Samples.StoryStrip;

ProcessMemory.ReturnFreedBlocks();
return await CommandLine.InvokeAsync(StoryCommand.Create(), args, Console.Out, Console.Error);
