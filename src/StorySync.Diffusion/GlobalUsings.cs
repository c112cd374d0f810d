// TorchSharp has layers of the same names; here the ones meant are always this library's, which wait for a checkpoint.
global using Conv2d = StorySync.Diffusion.Layers.Conv2d;
global using ConvTranspose2d = StorySync.Diffusion.Layers.ConvTranspose2d;
global using Embedding = StorySync.Diffusion.Layers.Embedding;
global using GroupNorm = StorySync.Diffusion.Layers.GroupNorm;
global using LayerNorm = StorySync.Diffusion.Layers.LayerNorm;
global using Linear = StorySync.Diffusion.Layers.Linear;
