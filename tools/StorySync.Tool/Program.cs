using StorySync.Samples;
using StorySync.Tool;

ProcessMemory.ReturnFreedBlocks();
return await CommandLine.InvokeAsync(ToolCommand.Create(), args, Console.Out, Console.Error);
