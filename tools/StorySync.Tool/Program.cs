using StorySync.Samples;
using StorySync.Tool;

FreedMemory.ReturnImmediately();
return await CommandLine.InvokeAsync(ToolCommand.Create(), args, Console.Out, Console.Error);
